"""One row of the zoo: a class, its configuration, and where its weights are. Tables are plain and merged upward."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from torch import nn

from tokodec.api import Codec, ContinuousTokenizer, DiscreteTokenizer, Reducer
from tokodec.errors import InputError

_KINDS: Mapping[type[Any], str] = {Codec: "codec", DiscreteTokenizer: "discrete", ContinuousTokenizer: "continuous", Reducer: "reducer"}


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A weights file of ours: its name in ``pretrained/`` and its terms. The ledger there holds its checksum."""

    file: str
    licence: str = "Apache-2.0"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The authors' own weights: where they publish them and under which terms. Nothing of them is in the package."""

    file: str
    """Its name, inside ``repo`` where there is one."""
    licence: str
    """An SPDX identifier, or ``LicenseRef-...`` where it is none of that list."""
    repo: str = ""
    """Of the Hugging Face hub; empty where they are published elsewhere, which the card tells."""
    revision: str = ""
    """The commit that was looked at; empty where none is known yet."""
    sha256: str = ""
    """Of the file; empty where it is not known yet."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A named model. ``config`` is the one argument of ``build``."""

    build: type[nn.Module]
    config: Any
    family: str
    weights: Weights | None = None
    origin: Origin | None = None
    media: str = "image"
    input: str = "rgb"
    """What goes in at the door: RGB pixels unless said otherwise (depth, features ...)."""
    variable_rate: bool = False
    variable_length: bool = False

    @property
    def kind(self) -> str:
        """codec, discrete, continuous or reducer."""
        return next(kind for base, kind in _KINDS.items() if issubclass(self.build, base))

    @property
    def gives(self) -> str:
        """What comes out, where it is not what goes in: see :attr:`tokodec.api.Autoencoder.gives`."""
        return getattr(self.build, "gives", "")

    def create(self, overrides: Mapping[str, Any]) -> nn.Module:
        """The model with freshly initialised weights; ``overrides`` replace fields of its configuration."""
        known = [f.name for f in fields(self.config)]
        unknown = sorted(set(overrides) - set(known))
        if unknown:
            raise InputError(f"{self.family} has no setting {', '.join(unknown)}; it has {', '.join(known)}")
        # Configurations that come out of files have lists where dataclasses have tuples.
        return self.build(replace(self.config, **{k: tuple(v) if isinstance(v, list) else v for k, v in overrides.items()}))


def merge(*tables: Mapping[str, Entry]) -> dict[str, Entry]:
    """One table out of several. A name that is taken twice is our mistake."""
    merged: dict[str, Entry] = {}
    for table in tables:
        twice = merged.keys() & table.keys()
        assert not twice, f"names taken twice: {sorted(twice)}"
        merged.update(table)
    return merged
