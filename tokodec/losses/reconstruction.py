"""The objectives of tokenizers that are judged by PSNR, of their prefixes and of their priors."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from tokodec.api import Output, Pixels
from tokodec.errors import InputError


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
class Growth:
    """``max(0, ln(mse) - ln(mse of half as many ids) + margin)``, for models that say what half as many decode to (``aux["shorter"]``).

    Longer prefixes are better on average by themselves; this asks it of every picture. Only the longer one learns.
    ``margin`` is in ln(mse): 0.05 is 0.2 dB.
    """

    floor: float = 3e-4
    margin: float = 0.05

    def __call__(self, x: Pixels, quality: Float[Tensor, " b"], output: Output) -> Float[Tensor, " b"]:
        """The loss of each item. Raises InputError for a model that does not say it."""
        if "shorter" not in output.aux:
            raise InputError("growth needs a model whose ids go from coarse to fine and that says what half of them decode to")
        half = (output.aux["shorter"].detach() - x).square().flatten(1).mean(1)
        return ((output.terms["mse"] + self.floor).log() - (half + self.floor).log() + self.margin).relu()


@dataclass(frozen=True, kw_only=True)
class IdBits:
    """The bits that the prior spends on an id: what trains the prior of a finished tokenizer, and nothing else."""

    def __call__(self, x: Pixels, quality: Float[Tensor, " b"], output: Output) -> Float[Tensor, " b"]:
        """The loss of each item."""
        return output.terms["id_bits"]
