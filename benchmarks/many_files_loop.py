"""The plain loop of many_files.py: one file after the other with the library, a line for each that is done.

python -m benchmarks.many_files_loop compress|decompress NUMERICS SOURCE TARGET
"""

import sys
from pathlib import Path

from tokodec import files
from tokodec.atomic import write_whole
from tokodec.files import Named
from tokodec.machine import Machine
from tokodec.media.read import read_picture
from tokodec.media.write import encode_picture
from tokodec.rate import Quality


def main() -> None:
    """Every file of a folder into another."""
    verb, numerics, source, target = sys.argv[1:]
    machine = Machine(numerics=numerics)
    work = {"compress": compress, "decompress": decompress}[verb]
    for path in sorted(p for p in Path(source).iterdir() if p.suffix in (".png", ".tkd")):
        work(path, Path(target), machine)
        print(path.name, flush=True)


def compress(path: Path, target: Path, machine: Machine) -> None:
    """Read, code, write."""
    coded = files.encode(read_picture(path), machine.codec(files.DEFAULT_MODEL), Quality(files.DEFAULT_QUALITY), machine)
    write_whole(target / f"{path.stem}.tkd", coded.data)


def decompress(path: Path, target: Path, machine: Machine) -> None:
    """And back."""
    write_whole(target / f"{path.stem}.png", encode_picture(files.decode(path.read_bytes(), Named(), machine), "png"))


if __name__ == "__main__":
    main()
