"""The figures of a page without its pictures: Markdown to paste, CSV to compute with."""

import csv
import io

from tokodec.eval.report.compared import DELTAS, PAIRED, delta_rows, paired_rows
from tokodec.eval.results import Results


def to_csv(results: Results) -> str:
    """A line a point: means, each with its unit in the heading, and the protocol."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        ("protocol", "contestant", "setting", "pictures", *(f"{c.key} [{c.unit}]" if c.unit else c.key for c in results.columns))
    )
    for p in results.points:
        values = (p["values"].get(c.key) for c in results.columns)
        writer.writerow((results.protocol["hash"], p["contestant"], p["setting"], p["pictures"], *values))
    return buffer.getvalue()


def to_markdown(results: Results) -> str:
    """Title, command, tables, protocol and environment."""
    parts = [f"# {results.content['title']}", f"    {results.content['command']}"]
    if rows := delta_rows(results):
        parts += [f"## Curves against {results.content['anchor']}", _table(DELTAS, rows)]
    if rows := paired_rows(results):
        parts += ["## Picture by picture at equal bytes", _table(PAIRED, rows)]
    head = ("contestant", "setting", *(c.title for c in results.columns))
    parts += ["## Means", _table(head, [_point(results, p["contestant"], p["setting"], p["values"]) for p in results.points])]
    if results.failed:
        failed = [(r["picture"], r["contestant"], str(r["setting"]), r["error"]) for r in results.failed]
        parts += ["## Failed", _table(("picture", "contestant", "setting", "why"), failed)]
    measures = [(c.title, "higher" if c.higher else "lower", c.definition) for c in results.measures]
    parts += [f"## Protocol {results.protocol['name']} ({results.protocol['hash']})", _table(("measure", "better", "definition"), measures)]
    environment = results.content.get("environment", {})
    parts += ["## Environment", _table(("what", "version"), [(k, str(v)) for k, v in environment.items()])]
    return "\n\n".join(parts) + "\n"


def _point(results: Results, contestant: str, setting: float | None, values: dict[str, float | None]) -> tuple[str, ...]:
    shown = (c.shown(values.get(c.key)) for c in results.columns)
    return (contestant, "-" if setting is None else f"{setting:.3g}", *shown)


def _table(head: tuple[str, ...], rows: "list[tuple[str, ...]]") -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
