"""How much squared error a bit is worth to the encoder, tuned for every band of quality."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from tokodec.api import Codec
from tokodec.entropy.fixed import LEVELS
from tokodec.entropy.scaletables import BANDS, ScaleTables

_CANDIDATES = (0.0, 0.01, 0.02, 0.03, 0.045, 0.06, 0.08, 0.1)


@torch.inference_mode()
def tune(model: Codec, tables: ScaleTables, pictures: Sequence[Float[Tensor, "_ 3 _ _"]]) -> None:
    """Set ``tables.thrift`` to what costs least on typical pictures.

    Cost is squared error plus bits at the exchange rate of the model's own curve: the slope between the neighbouring bands.
    So a value wins only where it beats choosing another quality.
    """
    tables.thrift.zero_()
    plain = torch.stack([_measure(model, pictures, _middle(band)) for band in range(BANDS)])
    best = torch.zeros(BANDS)
    for band in range(BANDS):
        low, high = plain[max(band - 1, 0)], plain[min(band + 1, BANDS - 1)]
        error_per_bit = (low[1] - high[1]) / (high[0] - low[0])
        costs: dict[float, float] = {}
        for candidate in _CANDIDATES:
            tables.thrift[band] = candidate
            bits, error = _measure(model, pictures, _middle(band))
            costs[candidate] = float(error + error_per_bit * bits)
        best[band] = min(costs, key=lambda c: costs[c])
    tables.thrift.copy_(best)


def _middle(band: int) -> float:
    return (2 * band + 1) / (2 * BANDS) * LEVELS / (LEVELS - 1)


def _measure(model: Codec, pictures: Sequence[Float[Tensor, "_ 3 _ _"]], quality: float) -> Float[Tensor, " 2"]:
    """Bits a pixel and squared error, means over pictures."""
    outputs = [model(x, quality=torch.full((x.shape[0],), quality, device=x.device)) for x in pictures]
    return torch.tensor([[float(o.terms["bpp"].mean()), float(o.terms["mse"].mean())] for o in outputs], dtype=torch.float64).mean(0)
