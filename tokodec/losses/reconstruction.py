"""The objective of tokenizers that are judged by PSNR."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from tokodec.api import Output, Pixels


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """``ln(mse + floor) + commitment * terms["commitment"]``.

    The mean of PSNR over pictures is, but for a factor, the mean of ln(mse): every picture weighs the same, however hard it
    is. ``floor`` (of squared [0, 1] values; 35 dB) keeps nearly empty pictures from taking over. The models of codes
    without a codebook to move have no commitment term.
    """

    floor: float = 3e-4
    commitment: float = 0.5

    def __call__(self, x: Pixels, quality: Float[Tensor, " b"], output: Output) -> Float[Tensor, " b"]:
        """The loss of each item."""
        loss = (output.terms["mse"] + self.floor).log()
        return loss + self.commitment * output.terms["commitment"] if "commitment" in output.terms else loss


@dataclass(frozen=True, kw_only=True)
class IdBits:
    """The bits that the prior spends on an id: what trains the prior of a finished tokenizer, and nothing else."""

    def __call__(self, x: Pixels, quality: Float[Tensor, " b"], output: Output) -> Float[Tensor, " b"]:
        """The loss of each item."""
        return output.terms["id_bits"]
