"""Recipes: TOML filled into frozen dataclasses; a key nobody knows is an error."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokodec.errors import InputError
from tokodec.settings import fill, read_toml


@dataclass(frozen=True, kw_only=True)
class DataRecipe:
    """``shards``: glob patterns. ``validation_below``: originals whose SHA-256 starts below this byte are held out."""

    shards: tuple[str, ...]
    validation_below: int = 8
    cache_gib: float = 4.0
    times: Mapping[str, int] = field(default_factory=dict)
    """How often an epoch goes through the pictures of a category (``category`` in the JSON of a sample); the others come once."""


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
class AdversaryRecipe:
    """A discriminator, what it and the generator are to make of its logits, and what it learns by (:mod:`tokodec.losses.adversary`).

    ``weight``: ``fixed``, or ``adaptive``, by the gradients at the model's last layer. ``lecam`` and ``r1`` weigh the penalties of
    those names; R1 is taken every ``r1_every`` steps and counts for all of them.
    """

    discriminator: str = "patch"
    settings: Mapping[str, Any] = field(default_factory=dict)
    criterion: str = "hinge"
    weight: str = "fixed"
    lecam: float = 0.0
    r1: float = 0.0
    r1_every: int = 16
    optimiser: OptimiserRecipe = field(default_factory=lambda: OptimiserRecipe(learning_rate=1e-4, betas=(0.5, 0.9)))


@dataclass(frozen=True, kw_only=True)
class PhaseRecipe:
    """A stretch of training. The learning rates are multiplied by a cosine from ``rate_start`` to ``rate_end``."""

    steps: int
    crop: int = 256
    rate_start: float = 1.0
    rate_end: float = 1.0
    rounding: str = "straight_through"
    reduce_from: float = 2.0
    quality_power: float = 1.0
    adversary: float = 0.0
    """Weight of the adversarial loss; at 0 the discriminator rests."""


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
    adversary: AdversaryRecipe | None = None
    """Phases say when it takes part; the adversarial loss goes to the optimiser of the first objective."""
    warm_start: str = ""
    """A weights file or a model's name whose weights the run starts from."""
    fresh: tuple[str, ...] = ()
    """Weights whose names match one of these shell patterns start afresh all the same; all others must be in the file."""
    base: str = ""
    """A model's name whose weights the run's file need not say again: of another decoder of the same ids, say."""
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
    recipe = fill(Recipe, read_toml(path), str(path))
    if recipe.batch % recipe.micro_batch:
        raise InputError(f"{path}: batch = {recipe.batch} is not a multiple of micro_batch = {recipe.micro_batch}")
    if recipe.adversary is None and any(phase.adversary for phase in recipe.phase):
        raise InputError(f"{path}: a phase has an adversary, but the recipe has no section [adversary]")
    return recipe
