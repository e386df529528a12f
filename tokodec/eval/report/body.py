"""What stands in a page as markup: the rest is the work of its script."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from tokodec.eval.exchange.compressai import Curve
from tokodec.eval.report.compared import section
from tokodec.eval.report.frames import Frames
from tokodec.eval.results import Results
from tokodec.page.html import table, tiles


def body(results: Results, shown: Frames, curves: Sequence[Curve], pages: str) -> str:
    """All of it. ``pages``: what the script reads, as markup."""
    protocol = results.protocol
    return Template((files("tokodec.eval.report") / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(str(protocol["name"])),
        what=escape(str(results.content["title"])),
        stamp=_stamp(results),
        tiles=_tiles(results),
        bd=section(results, _stamp(results)),
        curves=_curves(curves),
        shown=_shown(results, shown),
        failures=_failures(results),
        protocol=_protocol(results),
        contestants=_contestants(results),
        environment=table(("what", "version"), [(k, str(v)) for k, v in results.content.get("environment", {}).items()]),
        command=escape(str(results.content["command"])),
        data=pages,
    )


def _stamp(results: Results) -> str:
    """Under every table and plot: figures of two protocols never stand beside each other."""
    return f'protocol <a href="#protocol">{escape(results.protocol["name"])} <code>{escape(results.protocol["hash"])}</code></a>'


def _tiles(results: Results) -> str:
    given, failed = len(results.rows), len(results.failed)
    lost = f"{failed:,} failed" if failed else "none failed"
    return tiles(
        [
            ("pictures", f"{len(results.protocol['pictures']):,}", f"suite {escape(str(results.protocol['suite']))}"),
            ("who takes part", str(len(results.contestants)), f"at {len(results.points):,} settings together"),
            ("results", f"{given - failed:,} of {given:,}", lost),
            ("measures", str(len(results.measures)), escape(", ".join(c.name for c in results.measures))),
        ]
    )


def _curves(curves: Sequence[Curve]) -> str:
    if not curves:
        return ""
    items = "".join(f"<li>{escape(c.name)}: {escape(c.description)}</li>" for c in curves)
    about = "Dashed curves come from files of CompressAI, which name no protocol: other pictures or another crop may be behind them."
    return f"<p>{about}</p><ul>{items}</ul>"


def _shown(results: Results, shown: Frames) -> str:
    if not shown.frames:
        return (
            "No decoded pictures were kept (<code>--cache none</code>, or the folder is gone), so there is nothing to look at. "
            "<code>tokodec bench run</code> keeps them in <code>DIR/cache</code>."
        )
    of = f"{len(shown.windows):,} of {len(results.protocol['pictures']):,} pictures"
    which = "half of them evenly over the suite, half the worst ones; " if len(shown.windows) < len(results.protocol["pictures"]) else ""
    lost = f" {shown.missing:,} more were not kept." if shown.missing else ""
    return (
        f"{of}, {which}of each contestant the settings nearest to a few common rates; {shown.step.words}, as the size of a page allows. "
        f"All figures are of the whole, exact pictures.{lost}"
    )


def _failures(results: Results) -> str:
    rows = [(r["picture"], r["contestant"], "-" if r["setting"] is None else f"{r['setting']:.3g}", r["error"]) for r in results.failed]
    if not rows:
        return ""
    more = f"<p>... and {len(rows) - 200:,} more, in results.json.</p>" if len(rows) > 200 else ""
    shown = table(("picture", "contestant", "setting", "why"), rows[:200])
    return f'<section id="failed"><h2>Failed</h2><p>Counted, in no mean.</p>{shown}{more}</section>'


def _protocol(results: Results) -> str:
    p = results.protocol
    rows = [(k, str(p[k])) for k in ("name", "hash", "suite", "version", "crop", "rate", "rounding") if k in p]
    measures = [(c.title, "higher is better" if c.higher else "lower is better", c.definition) for c in results.measures]
    pictures = table(("picture", "SHA-256"), [(name, digest) for name, digest in list(p["pictures"].items())[:1000]])
    return (
        f"{table(('part', 'what'), rows)}<h3>Measures</h3>{table(('measure', 'direction', 'definition'), measures)}"
        f"<details><summary>The pictures and their hashes</summary>{pictures}</details>"
    )


def _contestants(results: Results) -> str:
    rows = [(c["name"], c["identity"], _described(c)) for c in results.contestants]
    return table(("contestant", "identity", "what decides its files"), rows)


def _described(contestant: Mapping[str, Any]) -> str:
    parts = {key: value for key, value in contestant.items() if key not in {"name", "identity", "settings"}}
    return "; ".join(f"{key} {_flat(value)}" for key, value in parts.items())


def _flat(value: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)
