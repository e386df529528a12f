"""Recipes: TOML filled into frozen dataclasses; a key nobody knows is an error."""

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from tokodec.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class DataRecipe:
    """``shards``: glob patterns. ``validation_below``: originals whose SHA-256 starts below this byte are held out."""

    shards: tuple[str, ...]
    validation_below: int = 8
    cache_gib: float = 4.0


@dataclass(frozen=True, kw_only=True)
class OptimiserRecipe:
    """AdamW over the parameters whose names match one of ``parameters`` (shell patterns); the first optimiser that matches owns one."""

    parameters: tuple[str, ...] = ("*",)
    learning_rate: float = 1e-3
    betas: tuple[float, ...] = (0.9, 0.98)
    weight_decay: float = 0.0
    clip: float = 1.0
    """Largest norm of the gradient; steps whose gradient is not finite are skipped and counted."""


@dataclass(frozen=True, kw_only=True)
class ObjectiveRecipe:
    """One weighted objective: its table name, the optimiser that follows it, and its own settings."""

    name: str
    weight: float = 1.0
    optimiser: str = "main"
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PhaseRecipe:
    """A stretch of training. The learning rates are multiplied by a cosine from ``rate_start`` to ``rate_end``."""

    steps: int
    crop: int = 256
    rate_start: float = 1.0
    rate_end: float = 1.0
    rounding: str = "straight_through"
    reduce_from: float = 2.0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the numbers of a run. ``batch`` pictures a step, in pieces of ``micro_batch``.

    Each piece has its own random numbers and its own place in the data, so the loss does not depend on how the pieces are
    spread over processes.
    """

    model: str
    data: DataRecipe
    phase: tuple[PhaseRecipe, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)
    optimiser: Mapping[str, OptimiserRecipe] = field(default_factory=lambda: {"main": OptimiserRecipe()})
    objective: tuple[ObjectiveRecipe, ...]
    warm_start: str = ""
    """A weights file or a model's name whose weights the run starts from."""
    frozen: tuple[str, ...] = ()
    """Parameters whose names match one of these shell patterns keep their values."""
    seed: int = 0
    batch: int = 8
    micro_batch: int = 8
    warmup: int = 100
    ema: float = 0.998
    autocast: bool = True
    """bfloat16 where the device has instructions for it."""
    compile: bool = False
    """torch.compile of the blocks, on CUDA only."""
    log_every: int = 50
    checkpoint_every: int = 200
    validate_every: int = 2000
    validation_pictures: int = 24
    validation_qualities: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)

    @property
    def steps(self) -> int:
        """Steps of all phases."""
        return sum(p.steps for p in self.phase)

    def digest(self) -> str:
        """What must not change when a run is resumed."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file. Raises InputError for what is no recipe."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"there is no recipe {path}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML: {error}") from None
    recipe = fill(Recipe, raw, str(path))
    if recipe.batch % recipe.micro_batch:
        raise InputError(f"{path}: batch = {recipe.batch} is not a multiple of micro_batch = {recipe.micro_batch}")
    return recipe


def fill(kind: type[T], raw: Any, where: str) -> T:
    """A frozen dataclass from parsed TOML, nested ones too. Raises InputError naming what is unknown, missing or mistyped."""
    if not isinstance(raw, Mapping):
        raise InputError(f"{where} must be a table, not {raw!r}")
    hints = get_type_hints(kind)
    names = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(raw) - names)
    if unknown:
        raise InputError(f"{where} has no setting {', '.join(unknown)}; it has {', '.join(sorted(names))}")
    try:
        return kind(**{name: _value(hints[name], value, f"{where}: {name}") for name, value in raw.items()})
    except TypeError as error:
        raise InputError(f"{where}: {str(error).removeprefix(kind.__name__ + '.__init__() ')}") from None


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return fill(hint, value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_value(arguments[0], item, where) for item in value)
    if origin is Mapping and isinstance(value, Mapping):
        return {key: _value(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Any or (isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool))):
        return value
    raise InputError(f"{where} = {value!r} is not of type {getattr(hint, '__name__', hint)}")
