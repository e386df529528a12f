"""What is generated from the zoo's tables: ``tokodec/zoo.json``, and the tables of models in the README files."""

import json
from collections.abc import Sequence

from tokodec.catalogue import ModelInfo, room

BEGIN = "<!-- zoo: written by python -m tokodec.zoo -->"
END = "<!-- end of zoo -->"

_HEAD = ("| model | kind | media | rate | trained weights | parameters | licence |", "|---|---|---|---|---|---|---|")


def to_json(rows: Sequence[ModelInfo]) -> str:
    """A JSON array, one model a line, so that a change shows as the line of its model."""
    return "[\n" + ",\n".join(json.dumps(dict(row)) for row in rows) + "\n]\n"


def table(rows: Sequence[ModelInfo], *, cards: str) -> str:
    """A Markdown table of models, without those of the tests. ``cards`` leads from its file to the folder of the rooms."""
    lines = [_line(row, cards) for row in rows if not row.name.endswith("_test")]
    return "\n".join([*_HEAD, *lines]) if lines else "No models yet."


def _line(row: ModelInfo, cards: str) -> str:
    card = f"[{row.name}]({cards}{room(row.kind)}/{row.family}.md)"
    rate = "variable" if row.variable_rate else "fixed"
    return f"| {card} | {row.kind} | {row.media} | {rate} | {_weights(row)} | {row.params / 1e6:.2f} M | {row.licence} |"


def _weights(row: ModelInfo) -> str:
    if row.pretrained and row.bytes:
        return f"{row.bytes / 2**20:.1f} MiB, in the package"
    return public(row, "`models pull`") or "none"


def public(row: ModelInfo, command: str = "models pull") -> str:
    """Where the public weights of a model are to be had; empty where there are none or better ones lie in the package."""
    if row.origin is None or row.bytes:
        return ""
    return "public, see the card" if row.origin == "elsewhere" else f"public, {command}"


def fill(text: str, generated: str) -> str:
    """``text`` with what stands between the markers replaced. A file without markers is our mistake."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, f"no {BEGIN}"
    assert end, f"no {END}"
    return f"{before}{BEGIN}\n{generated}\n{END}{after}"
