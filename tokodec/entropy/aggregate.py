"""From context and hyper features to scales and means: three layers, place by place."""

from itertools import pairwise

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Aggregation(nn.Module):
    """``widths`` from input to output, the activation between; the input is context features, then hyper features.

    Places without context do not pay for it: the first layer is applied to both kinds of features apart.
    """

    def __init__(self, context: int, widths: tuple[int, int, int, int], activation: nn.Module) -> None:
        super().__init__()
        self.context = context
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.activation = activation

    @property
    def _linear(self) -> list[nn.Linear]:
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def of_hyper(self, psi: Float[Tensor, "b n p"]) -> Float[Tensor, "b n d"]:
        """What hyper features give to the first layer."""
        first = self._linear[0]
        return F.linear(psi, first.weight[:, self.context :], first.bias)

    def of_context(self, context: Float[Tensor, "b n q"]) -> Float[Tensor, "b n d"]:
        """What context features give to the first layer."""
        return F.linear(context, self._linear[0].weight[:, : self.context])

    def forward(self, first: Float[Tensor, "b n d"]) -> tuple[Float[Tensor, "b n c"], Float[Tensor, "b n c"]]:
        """Scales and means, from the sums of the first layer."""
        for layer in self._linear[1:]:
            first = layer(self.activation(first))
        scale, mean = first.chunk(2, -1)
        return scale, mean
