"""What machines still see after JPEG: letters, faces and classes at five qualities, and whether every score falls with quality.

``python benchmarks/perception.py SUITE --data FOLDER [--every N] [-o FILE]`` prints a table and writes JSON; exit code 1 when a
score does not fall.
"""

import argparse
import io
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tokodec.eval.judge import pooled
from tokodec.eval.panel import POOLS, panel_of
from tokodec.eval.suite import find_suite, load

QUALITIES = (90, 50, 20, 10, 5)
SHOWN = {
    "text": ("text_acc", "text_ned", "text_acc_retention", "text_acc_small", "text_acc_medium", "text_acc_large"),
    "faces": ("face_l2", "face_cosine", "face_sim", "face_same"),
}


def jpeg(picture: np.ndarray, quality: int | None) -> tuple[np.ndarray, int]:
    """The picture after it, and the bytes of its file; of None the picture itself."""
    if quality is None:
        return picture, 0
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer)), buffer.tell()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    suite, entries = find_suite(given.suite, given.data)
    panel, rows, start = panel_of(suite, entries, "cpu"), {quality: [] for quality in (None, *QUALITIES)}, time.perf_counter()
    for entry in entries[:: given.every]:
        picture = load(entry, suite)
        for quality, found in rows.items():
            decoded, count = jpeg(picture, quality)
            found.append({"bytes": count, "pixels": picture.shape[0] * picture.shape[1], **panel.row(picture, decoded, entry.labels)})
    points = []
    for quality, found in rows.items():
        bpp = 8 * sum(r["bytes"] for r in found) / sum(r["pixels"] for r in found)
        points.append({"quality": quality, "bpp": bpp, **pooled(found, POOLS)})
    keys = [key for name in suite.judges for key in SHOWN.get(name, ())]
    print("| JPEG | bpp |", " | ".join(keys), "|\n|---|---|" + "---|" * len(keys))
    for point in points:
        print(f"| {point['quality'] or 'none'} | {point['bpp']:.3f} |", " | ".join(f"{point[key]:.4f}" for key in keys), "|")
    print(f"{len(entries[:: given.every])} pictures, {time.perf_counter() - start:.0f} s")
    if given.output:
        given.output.write_text(json.dumps({"protocol": panel.protocol(), "points": points}, indent=1) + "\n")
    return int(any(not falls([p[key] for p in points], rising=key.endswith("_l2")) for key in keys))


def falls(values: list[float], *, rising: bool) -> bool:
    """Whether no value is better than the one before it."""
    steps = np.diff(values)
    return bool((steps >= 0).all() if rising else (steps <= 0).all())


if __name__ == "__main__":
    sys.exit(main())
