"""Files of networks that lie inside installed packages: found without importing the package, and told by their hash."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from tokodec.errors import InputError, MissingExtra


@dataclass(frozen=True, kw_only=True)
class Packed:
    """``module``: whose folder holds ``file``; ``package``: as pip names it; ``extra``: of ours that installs it.

    ``sha256`` of the whole file: of another one figures would be others.
    """

    module: str
    file: str
    sha256: str
    package: str
    extra: str

    def path(self) -> Path:
        """Where the file is. Raises MissingExtra without the package, InputError for a package that holds another file."""
        spec = find_spec(self.module)
        if spec is None or not spec.submodule_search_locations:
            raise MissingExtra(f"{self.file} of {self.package}", self.extra)
        path = Path(spec.submodule_search_locations[0]) / self.file
        if not path.is_file() or _hash(path) != self.sha256:
            found = f"{self.package} {_version(self.package)}"
            raise InputError(f"{found} holds no {self.file} of SHA-256 {self.sha256[:16]}: install another version")
        return path

    def identity(self) -> dict[str, str]:
        """Package, its version, and the file's hash, for a protocol."""
        return {"package": self.package, "package_version": _version(self.package), "weights_sha256": self.sha256}


@cache
def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"
