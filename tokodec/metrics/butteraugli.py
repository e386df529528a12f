"""Butteraugli by the program of libjxl or Google, where one is installed: there is no package of it.

libjxl's ``butteraugli_main`` comes with its developers' tools (``-DJPEGXL_ENABLE_DEVTOOLS=ON``; conda-forge and several distributions
package it), ``butteraugli`` is Debian's of 2017. Their values differ: a measure names the program, and its hash is part of the protocol.
Source: Alakuijala et al., "Guetzli: perceptually guided JPEG encoder", 2017 (google/butteraugli).
"""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from tokodec.errors import ModelNotFound
from tokodec.metrics.structure import Comparison

BUTTERAUGLI_MIN_SIDE = 8
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?", re.IGNORECASE)


def program(name: str) -> str:
    """Where it is. Raises ModelNotFound saying how to get it."""
    found = shutil.which(name)
    if found is None:
        how = "apt install butteraugli" if name == "butteraugli" else "build libjxl with -DJPEGXL_ENABLE_DEVTOOLS=ON"
        raise ModelNotFound(f"there is no program {name} in PATH: {how}, or leave its measure out")
    return found


def hash_of(name: str) -> str:
    """SHA-256 of the program. Raises ModelNotFound."""
    return hashlib.sha256(Path(program(name)).read_bytes()).hexdigest()


def distance(name: str, pictures: Comparison) -> float:
    """The largest over the picture, from 0; about 1 can just be noticed. Raises ModelNotFound, and ValueError if the program fails."""
    return float(_numbers(name, pictures)[0])


def distance_3norm(name: str, pictures: Comparison) -> float:
    """The 3-norm of the distances over the picture, which libjxl's program gives as well. Raises as ``distance``."""
    return float(_numbers(name, pictures)[-1])


def _numbers(name: str, pictures: Comparison) -> list[str]:
    """What the program prints: the distance, and maybe, after ``3-norm:``, another."""
    with TemporaryDirectory() as folder:
        paths = [Path(folder, f"{side}.png") for side in ("original", "decoded")]
        for path, picture in zip(paths, (pictures.original, pictures.decoded), strict=True):
            Image.fromarray(picture).save(path, compress_level=1)
        told = subprocess.run([program(name), *map(str, paths)], capture_output=True, text=True, check=False)  # noqa: S603  found in PATH
    found = _NUMBER.findall(told.stdout.replace("3-norm", ""))
    if told.returncode != 0 or not found:
        raise ValueError(f"{name} gave no number (exit code {told.returncode}): {(told.stderr or told.stdout).strip()[:200]}")
    return found
