"""Formats whose writer is a program in PATH: mozjpeg's and jpegli's JPEG, libjxl's JPEG XL."""

import hashlib
import io
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

from tokodec.errors import ModelNotFound
from tokodec.eval.formats import Format


@dataclass(frozen=True, kw_only=True)
class CommandFormat(Format):
    """``program`` with ``options``: in them ``{setting}``, ``{input}`` (a PPM) and ``{output}`` are filled in.

    ``says``: what the program must say of its version (to ``asked``), for several bear one name. ``suffix`` of its files. ``reader``:
    the program that makes a PPM of them, after its name ``{input} {output}``; none: Pillow reads them. ``origin``: how to get it.
    """

    program: str
    options: Sequence[str]
    settings: Sequence[float | None]
    suffix: str
    asked: str
    says: str
    origin: str
    reader: str = ""

    def require(self, name: str) -> None:
        for program in filter(None, (self.program, self.reader)):
            if shutil.which(program) is None:
                raise ModelNotFound(f"the baseline {name} needs the program {program} in PATH: {self.origin}")
        if self.says not in self._told():
            raise ModelNotFound(
                f"the baseline {name} needs the {self.program} of {self.says}; the one in PATH says {self._told()!r}: {self.origin}"
            )

    def write(self, image: Image.Image, setting: float | None) -> bytes:
        with TemporaryDirectory() as folder:
            source, target = Path(folder, "picture.ppm"), Path(folder, f"picture{self.suffix}")
            image.save(source)
            given = {"setting": f"{setting:g}", "input": str(source), "output": str(target)}
            _run([self._path(self.program), *(option.format(**given) for option in self.options)])
            return target.read_bytes()

    def read(self, data: bytes) -> Image.Image:
        if not self.reader:
            return Image.open(io.BytesIO(data)).convert("RGB")
        with TemporaryDirectory() as folder:
            source, target = Path(folder, f"picture{self.suffix}"), Path(folder, "picture.ppm")
            source.write_bytes(data)
            _run([self._path(self.reader), str(source), str(target)])
            return Image.open(io.BytesIO(target.read_bytes())).convert("RGB")

    def identity(self) -> dict[str, Any]:
        programs = [name for name in (self.program, self.reader) if name]
        hashes = {f"{name} sha256": hashlib.sha256(Path(self._path(name)).read_bytes()).hexdigest() for name in programs}
        return {"writer": self.program, "options": list(self.options), "versions": {self.program: self._told(), **hashes}}

    def _told(self) -> str:
        """The line that a program says of itself, to stdout or stderr."""
        told = _run([self._path(self.program), self.asked], strict=False)
        return next(filter(None, map(str.strip, told.splitlines())), "")

    @staticmethod
    def _path(name: str) -> str:
        return shutil.which(name) or name


def _run(command: Sequence[str], strict: bool = True) -> str:
    """What a program prints. Raises ValueError if it fails and is not expected to."""
    told = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  programs of the user's PATH
    if strict and told.returncode != 0:
        raise ValueError(f"{command[0]} failed with exit code {told.returncode}: {(told.stderr or told.stdout).strip()[:200]}")
    return told.stdout + told.stderr
