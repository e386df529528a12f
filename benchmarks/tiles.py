"""What tiles cost: bytes and PSNR of pictures in tiles of several sides, beside the same pictures as a whole.

    python -m benchmarks.tiles FOLDER [-m MODEL]

Lays the pictures of FOLDER side by side, as large_picture.py does, to one of 3072 x 1536 and prints a row for each quality and side.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from benchmarks.large_picture import mosaic
from tokodec import files
from tokodec.entropy.tileplan import NEVER, Tiling
from tokodec.machine import Machine
from tokodec.media.picture import Picture
from tokodec.metrics.psnr import psnr
from tokodec.rate import Quality

_SIZE = (3072, 1536)
_QUALITIES = (0.3, 0.7)
_SIDES = (256, 512, 1024)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-m", "--model", default="fourstep_vr")
    a = parser.parse_args()
    torch.set_num_threads(1)
    machine = Machine()
    codec, picture = machine.codec(a.model), Picture(rgb=np.asarray(mosaic(a.folder, *_SIZE)))

    def coded(quality: float, tiling: Tiling) -> tuple[int, float]:
        data = files.encode(picture, codec, Quality(quality), machine, tiling).data
        return len(data), psnr(files.decode(data, files.Named(), machine).rgb, picture.rgb)

    print("| quality | side | bytes | PSNR, dB |\n|---|---|---|---|")
    for quality in _QUALITIES:
        size, whole = coded(quality, NEVER)
        for side in _SIDES:
            tiled, found = coded(quality, Tiling(side=side, above=0))
            print(f"| {quality:g} | {side} | {100 * (tiled / size - 1):+.2f} % | {found - whole:+.4f} |", flush=True)


if __name__ == "__main__":
    main()
