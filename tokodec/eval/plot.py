"""Rate-distortion curves as a picture."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from tokodec.errors import MissingExtra
from tokodec.eval.markdown import heading

if TYPE_CHECKING:
    from tokodec.eval.summary import Point

_COLOURS = ("#c2185b", "#00838f", "#6a1b9a", "#2e7d32", "#ef6c00", "#3b7dd8", "#8a8a8a", "#5d4037", "#9e9d24", "#37474f")


def plot(points: "Sequence[Point]", title: str, measure: str, known: Mapping[str, Any]) -> dict[str, bytes]:
    """PNG and SVG by suffix: the mean of a measure over mean bits per pixel, logarithmic; one rate is a mark. Raises MissingExtra.

    ``known``: what the protocol says of the measure.
    """
    return curves([asdict(p) for p in points], measure, heading(measure, known), title)


def curves(points: Sequence[Mapping[str, Any]], key: str, label: str, title: str) -> dict[str, bytes]:
    """The same of any kind of figure: ``points`` as results.json holds them; those without a value are left out. Raises MissingExtra."""
    figure = _figure()
    axes = figure.subplots()
    for i, name in enumerate(dict.fromkeys(p["contestant"] for p in points)):
        own = [p["values"] for p in points if p["contestant"] == name and isinstance(p["values"].get(key), int | float)]
        style = {"marker": "o", "markersize": 3} if len(own) > 1 else {"marker": "*", "markersize": 12}
        axes.plot([v["bpp"] for v in own], [v[key] for v in own], color=_COLOURS[i % len(_COLOURS)], label=name, **style)
    axes.set(xscale="log", xlabel="bits per pixel (whole files)", ylabel=label, title=title)
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False, fontsize=8)
    return {suffix: _rendered(figure, suffix) for suffix in ("png", "svg")}


def require() -> None:
    """Raise MissingExtra when there can be no plot: before a run, not after it."""
    if find_spec("matplotlib") is None:
        raise MissingExtra("the plot of a benchmark", "eval")


def _figure() -> Any:
    require()
    from matplotlib.figure import Figure  # noqa: PLC0415  an extra

    return Figure(figsize=(7.5, 5), layout="constrained", dpi=120)


def _rendered(figure: Any, suffix: str) -> bytes:
    from matplotlib import rc_context  # noqa: PLC0415

    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "tokodec"}):  # the same bytes every time
        figure.savefig(buffer, format=suffix, metadata={"Date": None} if suffix == "svg" else {"Software": None})
    return buffer.getvalue()
