"""How latents are rounded while training: each behaviour a class, chosen by the recipe's phase."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Rounding(ABC):
    """Stand-ins for rounding that let gradients through."""

    @abstractmethod
    def for_decoder(self, v: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """What the synthesis transform sees."""

    def for_rate(self, v: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """What the likelihood sees: uniform noise, whose density is the probability of the rounded value."""
        return v + torch.rand_like(v) - 0.5


class Noise(Rounding):
    """Uniform noise for rate and decoder: smooth gradients, but a decoder that never saw rounded values."""

    def for_decoder(self, v: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return v + torch.rand_like(v) - 0.5


class StraightThrough(Rounding):
    """Noise for the rate; real rounding for the decoder, its gradient taken as one."""

    def for_decoder(self, v: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return v + (v.round() - v).detach()


class Rounded(nn.Module):
    """A model that rounds while it trains; the trainer sets its ``rounding`` at the start of each phase."""

    def __init__(self) -> None:
        super().__init__()
        self.rounding: Rounding = StraightThrough()


ROUNDINGS: Mapping[str, type[Rounding]] = {"noise": Noise, "straight_through": StraightThrough}
