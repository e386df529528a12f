"""The leaderboard: tables out of the results of the suites ``kodak`` and ``perception``.

    python -m benchmarks.leaderboard RUNS -o eval/results/leaderboard    # RUNS/kodak/results.json, RUNS/perception/results.json

Writes ``tables.md``: BD-rates, and every contestant at every setting by rate, on photographs, rendered text, receipts and faces, which
are parts of ``perception``; and ``kodak.json`` and ``perception.json``: the results as they are, without a row for each picture, whose
details of words and faces are many megabytes. The commands in them make the whole again.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokodec.eval.run import Done
from tokodec.eval.summary import points

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Column:
    """A measure, how a table heads it, and its decimals."""

    measure: str
    head: str
    digits: int


PICTURE = (Column(measure="psnr", head="PSNR dB", digits=2), Column(measure="ms_ssim", head="MS-SSIM", digits=4))
LETTERS = (
    Column(measure="text_acc", head="T-ACC", digits=3),
    Column(measure="text_acc_retention", head="of the original's", digits=3),
    Column(measure="text_ned", head="T-NED", digits=3),
    Column(measure="text_acc_small", head="T-ACC small", digits=3),
    Column(measure="text_acc_medium", head="medium", digits=3),
    Column(measure="text_acc_large", head="large", digits=3),
    PICTURE[0],
)
FACES = (
    Column(measure="face_sim", head="F-Sim", digits=3),
    Column(measure="face_l2", head="L2", digits=3),
    Column(measure="face_same", head="taken for the same person", digits=2),
    PICTURE[0],
)
PARTS: Mapping[str, Sequence[Column]] = {"text_rendered40": LETTERS, "text_receipts20": LETTERS, "faces_lfw100": FACES}
"""Of ``perception``, by folder."""


def points_table(found: Json, own: Sequence[Json], columns: Sequence[Column]) -> str:
    """A line a point, from small files to large ones; half the width of 95 % intervals behind means."""
    heads = ["contestant", "setting", "bpp", *(c.head for c in columns)]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    ours = {c["name"] for c in found["contestants"] if c["kind"] == "model"}
    for point in sorted(own, key=lambda p: p["values"]["bpp"]):
        name = f"**{point['contestant']}**" if point["contestant"] in ours else point["contestant"]
        setting = "-" if point["setting"] is None else f"{point['setting']:.4g}"
        lines.append(f"| {name} | {setting} | {point['values']['bpp']:.3f} | {' | '.join(_shown(point, c) for c in columns)} |")
    return "\n".join(lines)


def _shown(point: Json, column: Column) -> str:
    value, interval = point["values"].get(column.measure), point["intervals"].get(column.measure)
    if value is None:
        return "-"
    return f"{value:.{column.digits}f}" + (f" ± {(interval[1] - interval[0]) / 2:.{column.digits}f}" if interval else "")


def rates_table(found: Json) -> str:
    """BD-rates by PSNR and MS-SSIM against the anchor, where curves overlap."""
    lines = [f"| contestant | BD-rate of PSNR against {found['anchor']} | 95 % | of MS-SSIM | 95 % |", "|---|---|---|---|---|"]
    names = [c["name"] for c in found["contestants"] if c["name"] != found["anchor"]]
    rates = {(d["contestant"], d["measure"]): d for d in found["bd_rates"] if d["figure"] == "BD-rate" and d["interpolation"] == "PCHIP"}
    for name in names:
        cells = [cell for measure in ("psnr", "ms_ssim") for cell in _rate(rates.get((name, measure)))]
        if cells != ["-"] * 4:
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _rate(delta: Json | None) -> tuple[str, str]:
    if delta is None or delta["value"] is None:
        return "-", "-"
    return f"{delta['value']:+.1f} %", f"{delta['low']:+.1f} .. {delta['high']:+.1f}"


def part_of(found: Json, part: str) -> list[Json]:
    """The points of the pictures of one folder."""
    rows = [row for row in found["rows"] if row["picture"].startswith(f"{part}/")]
    return [asdict(p) for p in points(Done(protocol=found["protocol"], contestants=found["contestants"], rows=rows, folder=Path()))]


def main() -> None:
    """Parse, read, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    kodak, seen = (json.loads((given.runs / suite / "results.json").read_text()) for suite in ("kodak", "perception"))
    parts = ["## kodak", kodak["title"], f"`{kodak['command']}`", rates_table(kodak), points_table(kodak, kodak["points"], PICTURE)]
    parts += ["## perception", seen["title"], f"`{seen['command']}`"]
    for part, columns in PARTS.items():
        parts += [f"### {part}", points_table(seen, part_of(seen, part), columns)]
    (given.output / "tables.md").write_text("\n\n".join(parts) + "\n")
    for name, found in (("kodak", kodak), ("perception", seen)):
        slim = {key: value for key, value in found.items() if key not in ("rows", "worst", "wins")}
        (given.output / f"{name}.json").write_text(json.dumps(slim, indent=1) + "\n")


if __name__ == "__main__":
    main()
