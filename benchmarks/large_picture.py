"""One large picture: memory, seconds with one job and with two, and what a region costs.

    python -m benchmarks.large_picture FOLDER [-m MODEL] [--size 8000x6000] [-o JSON]

Lays the pictures of FOLDER, enlarged and with a little noise, side by side to one of the size that was asked for, and runs the
command on it in processes of their own, each in its turn. Prints wall and CPU seconds and the most memory that was resident.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

_COLUMNS = 4
_NOISE = 2.0
_SIDE = 512
"""Of the region."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One command. ``peak``: bytes."""

    what: str
    wall: float
    cpu: float
    peak: int


def mosaic(folder: Path, width: int, height: int) -> Image.Image:
    """Pictures of the folder in rows of four, all of one size."""
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"))
    canvas = Image.new("RGB", (width, height))
    cell = (-(-width // _COLUMNS), -(-height // _COLUMNS))
    for number in range(_COLUMNS**2):
        with Image.open(paths[number % len(paths)]) as picture:
            part = picture.convert("RGB").resize(cell, Image.Resampling.LANCZOS)
        canvas.paste(part, (number % _COLUMNS * cell[0], number // _COLUMNS * cell[1]))
    noise = np.random.default_rng(0).normal(0, _NOISE, (height, width, 3))
    return Image.fromarray((np.asarray(canvas) + noise).clip(0, 255).astype(np.uint8))


def run(what: str, *arguments: str) -> Run:
    """The command in a process of its own, by way of one that is asked how much memory it took."""
    script = "import sys; from tokodec.cli.main import main; sys.exit(main())"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    wrapper = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", wrapper, sys.executable, "-c", script, *arguments, "-f", "--quiet"],
        check=True,
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = Run(what=what, wall=time.monotonic() - start, cpu=cpu, peak=int(done.stdout.split()[-1]))
    print(f"| {what} | {found.wall:.1f} | {found.cpu:.1f} | {found.peak / 1e9:.2f} |", flush=True)
    return found


def measure(folder: Path, width: int, height: int, model: str) -> list[Run]:
    """All commands, one after the other."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        source, packed, back = (str(place / n) for n in ("a.png", "a.tkd", "b.png"))
        mosaic(folder, width, height).save(source, compress_level=1)
        small = place / "small.png"
        mosaic(folder, _SIDE, _SIDE).save(small)
        limits = ("-m", model, "--max-memory", "2G")
        region = f"{width // 3},{height // 3},{_SIDE},{_SIDE}"
        print("| | wall s | CPU s | peak GB |\n|---|---|---|---|")
        return [
            run(f"start-up, and {_SIDE} x {_SIDE}", "compress", str(small), "-o", str(place / "s.tkd"), *limits),
            *(run(f"compress, --jobs {j}", "compress", source, "-o", packed, "-j", j, *limits) for j in ("1", "2")),
            *(run(f"decompress, --jobs {j}", "decompress", packed, "-o", back, "-j", j, *limits) for j in ("1", "2")),
            run(f"region of {_SIDE} x {_SIDE}", "decompress", packed, "-o", back, "--region", region, *limits),
        ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-m", "--model", default="fourstep_vr")
    parser.add_argument("--size", default="8000x6000")
    parser.add_argument("-o", "--output", type=Path)
    a = parser.parse_args()
    width, height = map(int, a.size.split("x"))
    runs = measure(a.folder, width, height, a.model)
    if a.output:
        a.output.write_text(json.dumps({"model": a.model, "size": [width, height], "runs": [asdict(r) for r in runs]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
