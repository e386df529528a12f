"""report.html: figures, curves and pictures of a benchmark on one page that needs no other file and no network."""

import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from importlib.resources import files

from tokodec.eval.exchange.compressai import Curve
from tokodec.eval.kept import Store
from tokodec.eval.report.body import body
from tokodec.eval.report.data import page_data
from tokodec.eval.report.frames import frames
from tokodec.eval.results import Results
from tokodec.page.html import whole

BUDGET = 36_000_000
"""Bytes of a page for its pictures, as it holds them: four letters for three bytes."""
SCRIPTS = ("figures.js", "ticks.js", "plot.js", "table.js", "stage.js", "viewer.js", "worst.js", "start.js")


def page(results: Results, store: Store, curves: Sequence[Curve], budget: int, told: Callable[[int, int], None]) -> str:
    """The text of the page. ``budget``: bytes for pictures; ``told``: how many are ready of how many."""
    shown = frames(results, store, budget * 3 // 4, told)
    pictures = "".join(_hidden(f"f{i}", "text/plain", b64encode(frame.webp).decode()) for i, frame in enumerate(shown.frames))
    data = json.dumps(page_data(results, shown, curves), separators=(",", ":")).replace("<", "\\u003c")
    return whole(
        f"Benchmark {results.protocol['name']}",
        body(results, shown, curves, _hidden("data", "application/json", data) + pictures),
        style=_part("page.css"),
        script="(() => {\n" + "\n".join(_part(name) for name in SCRIPTS) + "})();\n",  # names of its own
    )


def _part(name: str) -> str:
    return (files("tokodec.eval.report") / name).read_text(encoding="utf-8")


def _hidden(identity: str, kind: str, text: str) -> str:
    """What is in a page for its script."""
    return f'<script id="{identity}" type="{kind}">{text}</script>\n'
