"""The catalogue: which models there are, what they are, and where their files lie. Reads only files, never torch."""

import difflib
import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from tokodec.errors import InputError, ModelNotFound
from tokodec.licences import allows

ROOMS = ("tokenizers", "codecs", "eval", "pretrained")
KINDS = ("codec", "discrete", "continuous", "reducer")

_PACKAGE = Path(__file__).parent
_VERSION = re.compile(r"\.v(\d+)")


class _Row(Mapping[str, Any]):
    """A frozen dataclass that is also a mapping from field name to value, so that ``dict(row)`` is its JSON object."""

    def __getitem__(self, key: str) -> Any:
        if key not in self.__dict__:
            raise KeyError(key)
        return self.__dict__[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)


@dataclass(frozen=True, kw_only=True)
class ModelInfo(_Row):
    """One model of the zoo, as ``tokodec/zoo.json`` lists it."""

    name: str
    kind: str
    """codec, discrete, continuous or reducer."""
    media: str
    """image or video."""
    family: str
    """The card is ``codecs/FAMILY.md``, or ``tokenizers/FAMILY.md``."""
    pretrained: bool
    """Trained weights lie in the package. Never true for the ``*_test`` models of the tests."""
    variable_rate: bool
    """``quality`` in [0, 1] sets the rate."""
    variable_length: bool
    licence: str
    """Of the weights, as an SPDX identifier."""
    origin: str | None
    """Where the authors' own weights are: ``hub:ORG/REPO``, ``elsewhere`` (the card tells), or None where there are none."""
    params: int
    bytes: int | None
    """Size of the weights in the package; None where there are none."""


@dataclass(frozen=True, kw_only=True)
class LedgerRow(_Row):
    """Where one file of ``pretrained/`` comes from, as ``pretrained/ledger.toml`` tells it."""

    file: str
    sha256: str
    bytes: int
    licence: str
    training_data: str
    recipe: str
    """Below the root of the repository; empty for weights that were never trained."""
    machine: str
    hours: float
    steps: int
    pixels: int
    """Pixels seen in training."""
    commit: str
    metrics: Mapping[str, Any]


def folder(name: str) -> Path:
    """The folder of a room of the catalogue: inside an installed package, or beside it in a checkout."""
    if name not in ROOMS:
        raise InputError(f"no room {name!r} in the catalogue; there are {', '.join(ROOMS)}")
    installed = _PACKAGE / "_catalogue" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


@cache
def zoo() -> Mapping[str, ModelInfo]:
    """All models by name, from the generated ``tokodec/zoo.json``."""
    rows = json.loads((_PACKAGE / "zoo.json").read_text(encoding="utf-8"))
    return {row["name"]: ModelInfo(**row) for row in rows}


@cache
def ledger() -> Mapping[str, LedgerRow]:
    """The rows of ``pretrained/ledger.toml`` by file name."""
    rows = tomllib.loads((folder("pretrained") / "ledger.toml").read_text(encoding="utf-8")).get("weights", [])
    return {row["file"]: LedgerRow(**row) for row in rows}


def room(kind: str) -> str:
    """The room that holds the cards and recipes of a kind of model."""
    return "codecs" if kind == "codec" else "tokenizers"


def unversioned(name: str) -> str:
    """``model`` for ``model.v2``; a name without version stays as it is."""
    return _VERSION.split(name, maxsplit=1)[0]


def resolve(name: str) -> str:
    """The name of a model in full: ``model`` becomes its newest version, ``model.v2``. Raises ModelNotFound."""
    return newest(name, zoo())


SHORT: Mapping[str, str] = {"1d": "spectral_256"}
"""Short names of models that are typed often."""


def newest(name: str, known: Collection[str]) -> str:
    """``name`` if it is known, else its newest version that is. Raises ModelNotFound, naming those that look alike.

    What follows a dash says which decoder: ``model-crisp`` is the newest of ``model.v1-crisp``, ``model.v2-crisp``.
    """
    name = SHORT.get(name, name)
    if name in known:
        return name
    base, dash, decoder = name.partition("-")
    versions = [k for k in known if re.fullmatch(re.escape(base) + _VERSION.pattern + re.escape(dash + decoder), k)]
    if versions:
        return max(versions, key=lambda k: int(_VERSION.findall(k)[-1]))
    close = difflib.get_close_matches(name, sorted({*known, *map(unversioned, known)}), n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "see: tokodec models list"
    raise ModelNotFound(f"no model {name!r}; {hint}")


def list_models(
    pattern: str = "*", *, kind: str | None = None, media: str | None = None, licence: str | None = None, pretrained: bool | None = None
) -> list[str]:
    """Names of models that match a shell pattern and every filter that is given, sorted.

    ``kind`` is codec, discrete, continuous or reducer; ``media`` is image or video; ``licence`` is the SPDX
    identifier of the weights, or ``permissive`` for all that ask for no more than a mention; ``pretrained`` asks for models with
    (or without) trained weights in the package. Raises InputError for an unknown kind.
    """
    if kind is not None and kind not in KINDS:
        raise InputError(f"no kind {kind!r}; there are {', '.join(KINDS)}")
    asked = {"kind": kind, "media": media, "pretrained": pretrained}
    wanted = {key: value for key, value in asked.items() if value is not None}
    found = [info for n, info in zoo().items() if fnmatchcase(n, pattern) and all(info[k] == v for k, v in wanted.items())]
    return sorted(info.name for info in found if licence is None or allows(licence, info.licence))


def model_info(name: str) -> ModelInfo:
    """What the zoo knows of a model. Raises ModelNotFound, naming models that look alike."""
    return zoo()[resolve(name)]
