"""The objective of variable-rate codecs."""

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
