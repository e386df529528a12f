"""What holds at a step: its phase and its learning rate."""

import hashlib
import math
from dataclasses import dataclass

from tokodec.train.recipe import PhaseRecipe, Recipe


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A step's phase, and the factor of all learning rates."""

    phase: PhaseRecipe
    rate: float


def moment(recipe: Recipe, step: int) -> Moment:
    """Phase and rate at ``step``: linear warm-up at the very start, a cosine from ``rate_start`` to ``rate_end`` in each phase."""
    start = 0
    for phase in recipe.phase:
        if step < start + phase.steps:
            through = 0.5 - 0.5 * math.cos(math.pi * (step - start) / phase.steps)
            rate = phase.rate_start + (phase.rate_end - phase.rate_start) * through
            return Moment(phase=phase, rate=rate * min(1.0, (step + 1) / max(recipe.warmup, 1)))
        start += phase.steps
    raise IndexError(f"step {step} is after the last of {start}")


def past(recipe: Recipe, step: int) -> str:
    """A digest of the schedule before ``step``: a resumed run may change what is still to come, never what has been."""
    marks = "".join(_mark(moment(recipe, s)) for s in range(step))
    return hashlib.sha256(marks.encode()).hexdigest()[:16]


def _mark(now: Moment) -> str:
    # What is newer is said only where it is in use, so that older runs go on.
    adversary = f" {now.phase.adversary}" if now.phase.adversary else ""
    power = f" to the {now.phase.quality_power}" if now.phase.quality_power != 1 else ""
    return f"{now.rate:.9g} {now.phase.crop} {now.phase.rounding} {now.phase.reduce_from}{adversary}{power};"
