"""The fewest ids that say enough: a search over the lengths of rows that go from coarse to fine."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tokodec.api import DiscreteTokenizer, Pixels, Tokens
from tokodec.errors import InputError
from tokodec.tokenizers.prefix import PrefixTokenizer

Metric = Callable[[Pixels, Pixels], Float[Tensor, " b"]]
"""How far what is decoded, the first argument, is from the picture: a number an item, the smaller the better."""


@dataclass(frozen=True, kw_only=True)
class Shortest:
    """``tokens`` of the lengths found, how far their pictures are, and where even all ids are not near enough."""

    tokens: Tokens
    distance: Float[Tensor, " b"]
    met: Bool[Tensor, " b"]


@torch.inference_mode()
def shortest_prefix(model: DiscreteTokenizer, x: Pixels, metric: Metric, threshold: float) -> Shortest:
    """The shortest prefix of each picture in [0, 1] with ``metric(decoded, x) <= threshold``; all ids where none is.

    Bisection: pictures are encoded once, and all are decoded together, each at its own length, about log2 of the ids of a window times.
    Exact where the metric falls with every id, as it does on the whole for models trained to have prefixes but nowhere for certain. Else
    the prefix found is near enough, and one id of each window less is not. For PSNR hand over minus PSNR. Raises InputError.
    """
    if not isinstance(model, PrefixTokenizer):
        raise InputError(f"{model.name or type(model).__name__} has no prefixes: rows of one_d_piece and retok have")
    tokens = model.encode(x)
    least, most = torch.zeros(len(x), dtype=torch.int64), torch.full((len(x),), model.row)
    # Of each picture: least is too few, and most is enough, or all there are.
    distance = metric(model.decode(tokens), x).cpu()
    while bool((most - least > 1).any()):
        middle = (least + most) // 2
        middle = middle.where(most - least > 1, most)
        there = metric(model.decode(model.shortened(tokens, middle)), x).cpu()
        enough = there <= threshold
        distance = there.where(enough, distance)
        most, least = middle.where(enough, most), middle.where(~enough, least)
    return Shortest(tokens=model.shortened(tokens, most), distance=distance, met=distance <= threshold)
