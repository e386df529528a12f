"""The tokenizers of the package side by side: bits, files, pictures, letters, faces and codebooks.

    python -m benchmarks.tokenizer_table RUNS -o table.md

Takes ``RUNS/kodak256/results.json`` and ``RUNS/perception/results.json``, as ``tokodec bench run`` leaves them, and
``RUNS/codebook.json`` of :mod:`benchmarks.codebook`. Classical codecs stand in the same table at the bytes of each tokenizer: of their
full, half and quarter size the one of highest PSNR there; where none goes so low there is no line. Nothing is measured here.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.codebook import SIDE
from benchmarks.leaderboard import part_of
from tokodec.eval.summary import Point, value_at

Json = Mapping[str, Any]
PICTURE = {"psnr": ("PSNR dB", 2), "ssim": ("SSIM", 4), "ms_ssim": ("MS-SSIM", 4), "ssimulacra2": ("SSIMULACRA2", 1)}
"""Measures of photographs: head and decimals."""
SEEN = {"text_rendered40": ("text_acc", "T-ACC"), "faces_lfw100": ("face_sim", "F-Sim")}
"""Folders of the suite perception: what counts of each, and its head."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Points of photographs, of the folders of perception, and what is known of codebooks by model."""

    photographs: Sequence[Point]
    seen: Mapping[str, Sequence[Point]]
    codebooks: Mapping[str, Json]
    models: Sequence[str]
    baselines: Sequence[str]


def read(runs: Path) -> Found:
    """All of it."""
    photographs, seen = (json.loads((runs / suite / "results.json").read_text()) for suite in ("kodak256", "perception"))
    kinds = {c["name"]: c["kind"] for c in photographs["contestants"]}
    return Found(
        photographs=[Point(**p) for p in photographs["points"]],
        seen={folder: [Point(**p) for p in part_of(seen, folder)] for folder in SEEN},
        codebooks=json.loads((runs / "codebook.json").read_text()),
        models=[name for name, kind in kinds.items() if kind == "model"],
        baselines=[name for name, kind in kinds.items() if kind != "model"],
    )


def table(found: Found) -> str:
    """A line a tokenizer at all its ids, and under it one a classical codec at its bytes."""
    heads = ["", "bits a pixel", "file bytes", *(head for head, _ in PICTURE.values()), *(head for _, head in SEEN.values())]
    lines = [f"| {' | '.join([*heads, 'codes used', 'perplexity'])} |", "|" + "---|" * (len(heads) + 2)]
    for model in found.models:
        own = _largest(found.photographs, model)
        codes = found.codebooks.get(model.partition("-")[0], {})  # another decoder has the same ids
        seen = [_number(_largest(found.seen[folder], model).get(measure), 3) for folder, (measure, _) in SEEN.items()]
        bits = f"{codes['raw_bits'] / SIDE**2:.4f}" if codes else "-"
        cells = [f"**{model}**", bits, _number(own["bytes"], 0), *_pictures(own), *seen]
        lines.append(f"| {' | '.join([*cells, _percent(codes.get('used')), _number(codes.get('perplexity'), 0)])} |")
        lines += _beside(found, float(own["bpp"] or 0))
    return "\n".join(lines)


def _beside(found: Found, bpp: float) -> list[str]:
    """The lines of classical codecs at a rate."""
    lines: list[str] = []
    for codec in dict.fromkeys(name.partition("_ds")[0] for name in found.baselines):
        sizes = [name for name in found.baselines if name.partition("_ds")[0] == codec]
        known = {name: value for name in sizes if (value := value_at(found.photographs, name, bpp, "psnr")) is not None}
        if known:
            best = max(known, key=lambda name: known[name])
            values = {measure: value_at(found.photographs, best, bpp, measure) for measure in PICTURE}
            lines.append(f"| {best} | | same | {' | '.join([*_pictures(values), '', '', '', ''])} |")
    return lines


def _largest(own: Sequence[Point], name: str) -> Mapping[str, float | None]:
    """The values of a contestant where its files are largest; nothing where it did not take part."""
    return max((p.values for p in own if p.contestant == name), key=lambda values: float(values["bytes"] or 0), default={})


def _pictures(values: Mapping[str, float | None]) -> list[str]:
    return [_number(values.get(measure), digits) for measure, (_, digits) in PICTURE.items()]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def main() -> None:
    """Parse, read, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    given.output.write_text(table(read(given.runs)) + "\n")


if __name__ == "__main__":
    main()
