"""Near-ties: ids that rounding may decide either way, because two codes are equally good to a hundred-thousandth.

A recorded id may be the second best where the vectors before the quantizer agree and the two distances differ by less than 1e-5 of
themselves; for at most one id in 1,000, or one where there are fewer.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import torch
from parity import reference
from torch import Tensor

from tokodec.quantizers.base import Quantizer
from tokodec.quantizers.codebook import IndexBackpropagationQuantizer, VectorQuantizer
from tokodec.quantizers.lfq import BitQuantizer
from tokodec.quantizers.residual import ResidualQuantizer

_TIE = 1e-5


def settled(quantizer: Quantizer, z: Tensor, ids: Tensor, recorded: Mapping[str, Any]) -> Tensor:
    """``ids`` of ``z`` (1, n, d), or those that were recorded, if near-ties are all that is between them."""
    if reference.sha256(ids) == recorded["sha256_int64"]:
        return ids
    places, others = _ties(quantizer, z.double(), ids)
    for count in range(1, max(len(ids.flatten()) // 1000, 1) + 1):
        for some in combinations(range(len(places)), count):
            swapped = ids.clone()
            swapped[0, places[list(some)]] = others[list(some)]
            if reference.sha256(swapped) == recorded["sha256_int64"]:
                return swapped
    return ids


def _ties(quantizer: Quantizer, z: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Places in doubt, and the other id of each."""
    if isinstance(quantizer, ResidualQuantizer):
        return _residual_ties(quantizer, z, ids)
    if isinstance(quantizer, BitQuantizer):
        nearest = z[0].abs().min(-1)
        moved = z.clone()
        moved[0, torch.arange(z.shape[1]), nearest.indices] *= -1
        gap, others = 4 * nearest.values / (z[0].abs() - 1).square().sum(-1), quantizer.ids(moved.float())[0]
    elif isinstance(quantizer, VectorQuantizer):
        best = _scores(quantizer, z[0]).topk(2, dim=1)
        others = torch.where(best.indices[:, 0] == ids[0], best.indices[:, 1], best.indices[:, 0])
        gap = (best.values[:, 0] - best.values[:, 1]) / best.values[:, 0].abs()
    else:
        return torch.empty(0, dtype=torch.long), ids[0, :0]
    places = (gap < _TIE).nonzero()[:, 0]
    return places, others[places]


def _residual_ties(quantizer: ResidualQuantizer, z: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """An id that goes the other way at one level; those below it follow from what it leaves."""
    levels, left = quantizer.quantizers(), z
    found = [(torch.empty(0, dtype=torch.long), ids[0, :0])]
    for i, level in enumerate(levels):
        places, others = _ties(level, left, ids[..., i])
        rest, rows = left[:, places] - level.lookup(others[None]), [others]
        for below in levels[i + 1 :]:
            rows.append(below.ids(rest.float())[0])
            rest = rest - below.lookup(rows[-1][None])
        found.append((places, torch.cat([ids[0, places, :i], torch.stack(rows, -1)], -1)))
        left = left - level.lookup(ids[..., i])
    places, others = zip(*found, strict=True)
    return torch.cat(places), torch.cat(others)


def _scores(quantizer: VectorQuantizer, z: Tensor) -> Tensor:
    """Minus distances, or dot products."""
    if isinstance(quantizer, IndexBackpropagationQuantizer):
        return z @ quantizer.codebook.double().T
    return -torch.cdist(quantizer.compared(z[None])[0], quantizer.codes().double())
