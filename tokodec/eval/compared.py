"""A comparison of two results as Markdown and JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from tokodec.eval.compare import Changes
from tokodec.eval.markdown import decimals


def to_markdown(found: Changes) -> str:
    """A line for each contestant, setting and measure."""
    lines = [
        f"{found.protocol['name']} ({found.protocol['hash']}): {len(found.lost)} results lost, {len(found.gained)} new",
        "",
        "| contestant | setting | measure | old | new | difference | 95 % | p | pictures |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for c in found.changes:
        digits = decimals([c.old, c.new])
        setting = "-" if c.setting is None else f"{c.setting:.3g}"
        numbers = f"{c.old:.{digits}f} | {c.new:.{digits}f} | {c.difference:+.{digits}f} | {c.low:+.{digits}f} .. {c.high:+.{digits}f}"
        lines.append(f"| {c.contestant} | {setting} | {c.measure} | {numbers} | {c.p:.4f} | {c.pictures} |")
    return "\n".join(lines) + "\n"


def to_json(found: Changes, failures: Sequence[str]) -> str:
    """The same, with the failures, as one object."""
    content = {
        "protocol": {"name": found.protocol["name"], "hash": found.protocol["hash"]},
        "changes": [asdict(c) for c in found.changes],
        "lost": found.lost,
        "gained": found.gained,
        "failures": list(failures),
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"
