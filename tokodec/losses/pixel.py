"""Differences of pixels, and terms that models report themselves."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from tokodec.api import Output, Pixels
from tokodec.errors import InputError


@dataclass(frozen=True, kw_only=True)
class L1:
    """The mean absolute difference of RGB. ``span``: of the range in which a recipe was published; 2 for pictures in [-1, 1]."""

    span: float = 1.0

    def __call__(self, x: Pixels, quality: Float[Tensor, " b"], output: Output) -> Float[Tensor, " b"]:
        """The loss of each item."""
        assert output.pixels is not None
        return self.span * (output.pixels - x).abs().flatten(1).mean(1)


@dataclass(frozen=True, kw_only=True)
class MSE:
    """The mean squared difference of RGB; ``span`` as for :class:`L1`."""

    span: float = 1.0

    def __call__(self, x: Pixels, quality: Float[Tensor, " b"], output: Output) -> Float[Tensor, " b"]:
        """The loss of each item."""
        assert output.pixels is not None
        return self.span**2 * (output.pixels - x).square().flatten(1).mean(1)


@dataclass(frozen=True, kw_only=True)
class Term:
    """What the model reports under a name, such as ``commitment``, ``codebook`` or ``batch_entropy``: the recipe weighs it."""

    term: str

    def __call__(self, x: Pixels, quality: Float[Tensor, " b"], output: Output) -> Float[Tensor, " b"]:
        """The loss of each item. Raises InputError for a term that the model does not report."""
        if self.term not in output.terms:
            raise InputError(f"the model reports no term {self.term!r}; it reports {', '.join(output.terms)}")
        return output.terms[self.term]
