"""Results as JSON, CSV and Markdown."""

import csv
import io
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from tokodec.eval.run import Done
from tokodec.eval.summary import Delta, Point, psnr_at

_PACKAGES = ("tokodec", "torch", "numpy", "pillow")
_COLUMNS = {
    "bpp": ("bpp", "{:.4f}"),
    "psnr": ("PSNR dB", "{:.2f}"),
    "ssim": ("SSIM", "{:.4f}"),
    "ms_ssim": ("MS-SSIM", "{:.4f}"),
    "encode_seconds": ("encode s", "{:.3f}"),
    "decode_seconds": ("decode s", "{:.3f}"),
    "encode_mpix_s": ("encode Mpix/s", "{:.1f}"),
    "decode_mpix_s": ("decode Mpix/s", "{:.1f}"),
    "peak_mb": ("peak MB", "{:.0f}"),
}
_ROW = (
    "contestant", "setting", "picture", "width", "height", "bytes", "bpp", "psnr", "ssim", "ms_ssim",
    "encode_seconds", "decode_seconds", "peak_bytes", "error",
)  # fmt: skip


def title(done: Done) -> str:
    """One line: protocol, pictures, and how many results there are of how many."""
    given, failed = len(done.rows), done.failed
    pictures = len(done.protocol["pictures"])
    counts = f"{given - failed} of {given} scored" + (f", {failed} FAILED" if failed else "")
    return f"{done.protocol['name']} ({done.protocol['hash']}): {pictures} pictures, {counts}"


def to_json(done: Done, points: Sequence[Point], deltas: Sequence[Delta], command: str) -> str:
    """Everything: protocol, environment, command, who took part, every row, means, BD-rates."""
    environment = {"python": platform.python_version(), "machine": platform.machine()}
    environment |= {name: version(name) for name in _PACKAGES}
    content: dict[str, Any] = {
        "title": title(done),
        "command": command,
        "protocol": done.protocol,
        "environment": environment,
        "contestants": done.contestants,
        "points": [asdict(p) for p in points],
        "bd_rates": [asdict(d) for d in deltas],
    }
    head = json.dumps(content, indent=1)[:-2]
    rows = ",\n".join("  " + json.dumps(row) for row in done.rows)  # a picture a line, so that a change shows where it is
    return f'{head},\n "rows": [\n{rows}\n ]\n}}\n'


def to_csv(done: Done) -> str:
    """A line a picture and point."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_ROW)
    writer.writerows([row.get(column) for column in _ROW] for row in done.rows)
    return buffer.getvalue()


def to_markdown(done: Done, points: Sequence[Point], deltas: Sequence[Delta], anchor: str) -> str:
    """The tables: BD-rates, fixed-rate contestants at their own bytes, and all points."""
    parts = [title(done)]
    if deltas:
        parts.append(_bd_table(deltas, anchor))
    fixed = [p for p in points if p.setting is None]
    if fixed:
        parts.append(_equal_bytes(points, fixed))
    parts.append(_points(points))
    return "\n\n".join(parts) + "\n"


def _bd_table(deltas: Sequence[Delta], anchor: str) -> str:
    lines = [f"| contestant | BD-rate against {anchor} | 95 % | over |", "|---|---|---|---|"]
    for d in deltas:
        if d.percent is None or d.overlap is None:
            lines.append(f"| {d.contestant} | - | - | {d.reason} |")
        else:
            lines.append(
                f"| {d.contestant} | {d.percent:+.1f} % | {d.low:+.1f} .. {d.high:+.1f} | {d.overlap[0]:.1f}-{d.overlap[1]:.1f} dB |"
            )
    return "\n".join(lines)


def _equal_bytes(points: Sequence[Point], fixed: Sequence[Point]) -> str:
    """Mean PSNR of everybody at the mean bytes of each contestant of one rate."""
    others = list(dict.fromkeys(p.contestant for p in points if p.setting is not None))
    lines = [f"| at the bytes of | bpp | its PSNR dB | {' | '.join(others)} |", "|---|---|---|" + "---|" * len(others)]
    for p in fixed:
        bpp = float(p.values["bpp"] or 0)
        cells = [psnr_at(points, name, bpp) for name in others]
        shown = " | ".join("-" if value is None else f"{value:.2f}" for value in cells)
        lines.append(f"| {p.contestant} | {bpp:.4f} | {p.values['psnr']:.2f} | {shown} |")
    return "\n".join(lines)


def _points(points: Sequence[Point]) -> str:
    lines = [f"| contestant | setting | {' | '.join(name for name, _ in _COLUMNS.values())} |", "|---|---|" + "---|" * len(_COLUMNS)]
    for p in points:
        cells = ["-" if p.values[key] is None else form.format(p.values[key]) for key, (_, form) in _COLUMNS.items()]
        setting = "-" if p.setting is None else str(p.setting) if isinstance(p.setting, int) else f"{p.setting:.3g}"
        lines.append(f"| {p.contestant} | {setting} | {' | '.join(cells)} |")
    return "\n".join(lines)
