"""A prior over the ids of a lattice: trained in floats, used in exact integers.

What is stored is integers alone (:class:`IntegerConv`; logits in fixed point), about 170 kB for 16,384 codes of 8 coordinates.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from tokodec.entropy.idnet import CODE_MAX, KNOWN, IdNet, features, units, whole
from tokodec.entropy.integer import IntegerConv
from tokodec.entropy.octaves import UNITS, powers
from tokodec.entropy.prior import Prior

ACTIVATION_MAX = 255
_SUM_MAX = 2**24 - 1


class Layer(NamedTuple):
    """A layer in whole numbers held in float32: ``x @ weight + bias``, and what a unit of that is worth to the next."""

    weight: Float[np.ndarray, "n m"]
    bias: Float[np.ndarray, " m"]
    unit: Float[np.ndarray, " m"]


class Frozen(NamedTuple):
    """What the coder computes with. ``features`` and ``fine``: by cell and place in it; ``query_max`` bounds a query."""

    size: int
    codes: NDArray[np.int8]
    first: Sequence[Layer]
    second: Layer
    coarse: Layer
    query: Layer
    query_max: int
    query_shift: int
    features: Float[np.ndarray, "cells fine f"]
    fine: Int[np.ndarray, "cells fine"]
    powers: Int[np.ndarray, " octave"]


class IdPrior(Prior):
    """``size`` ids whose code vectors have ``dim`` coordinates. An id is a cell and a place in it: ``divmod(id, fine)``.

    ``arm`` adds what training needs as ``net``, ``freeze`` takes it off again. Until then nothing is ``trained``.
    """

    trained: Tensor
    packed: Tensor
    fine_logits: Tensor
    powers: Tensor
    query_shift: Tensor

    def __init__(self, *, size: int, dim: int, width: int = 64) -> None:
        super().__init__()
        self.size, self.dim, self.width = size, dim, width
        self.fine = max(math.isqrt(size - 1) + 1, 2)
        self.coarse = max(-(-size // self.fine), 2)
        self.net: IdNet | None = None
        model = self._net()
        self.layers = nn.ModuleList(IntegerConv(conv) for conv in _convolutions(model))
        self.register_buffer("trained", torch.zeros((), dtype=torch.uint8))
        self.register_buffer("packed", torch.zeros(size, -(-dim // 2), dtype=torch.uint8))
        self.register_buffer("fine_logits", torch.zeros(self.coarse, self.fine, dtype=torch.int16))
        self.register_buffer("query_shift", torch.zeros((), dtype=torch.uint8))
        self.register_buffer("powers", powers())

    # --- training

    def arm(self) -> None:
        """Add the net that is trained. A model in use has none."""
        if self.net is None:
            self.net = self._net().to(self.packed.device).train(self.training)

    def forward(self, ids: Int[Tensor, "b gh gw"], codes: Float[Tensor, "k d"]) -> Float[Tensor, " b"]:
        """Bits an id, for each item; gradients reach ``net`` alone. ``codes``: the vectors of all ids."""
        assert self.net is not None, "arm() comes first"
        return self.net(ids, whole(codes))

    def freeze(self, grids: Sequence[Int[Tensor, "b gh gw"]], codes: Float[Tensor, "k d"]) -> None:
        """Carry the net over into integers and take it off. ``grids``: typical ids, to read ranges of activations from."""
        assert self.net is not None, "arm() comes first"
        net, exact = self.net, whole(codes)
        with torch.no_grad():
            inner = [F.relu(net.inner(ids, exact)) for ids in grids]
            outer = [F.relu(net.second(h)) for h in inner]
            queries = torch.stack([net.query(h).abs().amax((0, 2, 3)) for h in outer]).amax(0)
            self._freeze_layers(net, _step(inner), _step(outer), queries)
            logits = (net.fine - net.fine.amax(1, keepdim=True)) * UNITS
            self.fine_logits.copy_(logits.round().clamp(-32_000, 0).to(torch.int16))
            digits = F.pad(exact + CODE_MAX + 1, (0, self.dim % 2)).to(torch.uint8)
            self.packed.copy_(digits[:, ::2] | digits[:, 1::2] << 4)
            self.trained.fill_(1)
        self.net = None

    def _freeze_layers(self, net: IdNet, inner: Tensor, outer: Tensor, queries: Tensor) -> None:
        """``inner`` and ``outer``: the value of one step of each activation. ``queries``: how large each may be, in nats."""
        convs, layers = _convolutions(net), [layer for layer in self.layers if isinstance(layer, IntegerConv)]
        *first, second, coarse, query = zip(layers, convs, strict=True)
        for layer, conv in first:
            step = torch.full((conv.in_channels,), 1 / KNOWN, device=inner.device)
            layer.unit.copy_(layer.quantise(conv, step, CODE_MAX) / inner)
        second[0].unit.copy_(second[0].quantise(second[1], inner, ACTIVATION_MAX) / outer)
        coarse[0].unit.copy_(coarse[0].quantise(coarse[1], outer, ACTIVATION_MAX) * UNITS)
        worth = torch.tensor(units(self.dim), dtype=torch.float64, device=outer.device) * UNITS
        reach = float((queries * worth).max()) * 1.5
        shift = min(max(math.floor(math.log2(_query_max(self.dim) / max(reach, 1e-6))), 0), 8)
        self.query_shift.fill_(shift)
        query[0].unit.copy_(query[0].quantise(query[1], outer, ACTIVATION_MAX) * worth * 2**shift)

    # --- use

    def frozen(self) -> Frozen:
        """The integers, as arrays on the processor."""
        digits = torch.stack([self.packed & 15, self.packed >> 4], 2).flatten(1)[:, : self.dim].cpu()
        codes = digits.to(torch.int8) - (CODE_MAX + 1)
        table = F.pad(features(codes.float()), (0, 0, 0, self.coarse * self.fine - self.size))
        *first, second, coarse, query = (_layer(layer) for layer in self.layers if isinstance(layer, IntegerConv))
        return Frozen(
            size=self.size,
            codes=codes.numpy(),
            first=first,
            second=second,
            coarse=coarse,
            query=query,
            query_max=_query_max(self.dim),
            query_shift=int(self.query_shift),
            features=table.view(self.coarse, self.fine, -1).numpy(),
            fine=self.fine_logits.cpu().numpy().astype(np.int64),
            powers=self.powers.cpu().numpy().astype(np.int64),
        )

    def _net(self) -> IdNet:
        return IdNet(coarse=self.coarse, fine=self.fine, dim=self.dim, width=self.width)


def _convolutions(net: IdNet) -> list[nn.Conv2d]:
    return [conv for conv in [*net.first, net.second, net.coarse, net.query] if isinstance(conv, nn.Conv2d)]


def _query_max(dim: int) -> int:
    """The largest query whose product with any features float32 still holds exactly."""
    return _SUM_MAX // (dim * CODE_MAX + dim * (dim + 1) // 2 * CODE_MAX**2)


def _step(activations: Sequence[Float[Tensor, "b c n 1"]]) -> Float[Tensor, " c"]:
    """The value of one of ACTIVATION_MAX steps of each channel, with some room above what was seen."""
    reach = torch.stack([a.amax((0, 2, 3)) for a in activations]).amax(0).double() * 1.2
    return torch.where(reach > 0, reach, reach.amax().clamp(min=1e-6)) / ACTIVATION_MAX


def _layer(conv: IntegerConv) -> Layer:
    weight = conv.weight[:, :, 0, 0].float().t().cpu().contiguous().numpy()
    return Layer(weight=weight, bias=conv.bias.float().cpu().numpy(), unit=conv.unit.float().cpu().numpy())
