"""The objectives of codecs: of variable-rate ones, of those with one rate, and of the quantiles of learned densities."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from tokodec.api import Output, Pixels


@dataclass(frozen=True, kw_only=True)
class RateDistortion:
    """``(bpp + lambda * 255**2 * mse) / (8 * sqrt(lambda))``, lambda log-spaced over quality.

    ``bpp`` and ``mse`` are the model's terms. Both parts of the loss of an optimal codec grow about like the square root of
    lambda, so the division keeps any rate from dominating the gradients.
    """

    lambda_low: float = 0.0005
    lambda_high: float = 0.25

    def __call__(self, x: Pixels, quality: Float[Tensor, " b"], output: Output) -> Float[Tensor, " b"]:
        """The loss of each item, for qualities in [0, 1]."""
        weight = self.lambda_low * (self.lambda_high / self.lambda_low) ** quality
        return (output.terms["bpp"] + weight * 255**2 * output.terms["mse"]) / (8 * weight.sqrt())


@dataclass(frozen=True, kw_only=True)
class OneRate:
    """``bpp + weight * 255**2 * mse``: of codecs with one rate. ``weight`` is the lambda of the literature."""

    weight: float = 0.013

    def __call__(self, x: Pixels, quality: Float[Tensor, " b"], output: Output) -> Float[Tensor, " b"]:
        """The loss of each item."""
        return output.terms["bpp"] + self.weight * 255**2 * output.terms["mse"]


@dataclass(frozen=True, kw_only=True)
class Quantiles:
    """How far the quantiles of learned densities are from their place: an optimiser of their own follows it."""

    def __call__(self, x: Pixels, quality: Float[Tensor, " b"], output: Output) -> Float[Tensor, " b"]:
        """The loss of each item."""
        return output.terms["quantiles"]
