"""Entropies of soft assignments: how sure a vector is of its code, and how evenly a batch uses all of them.

``sample_entropy`` is to become small and ``batch_entropy`` large; the recipe weighs both. Source: Yu et al., "Language model beats
diffusion: tokenizer is key to visual generation", ICLR 2024 (MAGVIT-v2); the constants are those of its open reimplementations.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_FLOOR = 1e-5
_SMALL_FLOOR = 1e-8
Terms = dict[str, Float[Tensor, " b"]]


@dataclass(frozen=True, kw_only=True)
class SoftEntropy:
    """Of the softmax over all codes of ``logits / temperature``. Holds a matrix of vectors by codes: for training alone."""

    temperature: float = 0.01

    def __call__(self, logits: Float[Tensor, "b n k"]) -> Terms:
        """``logits``: the higher, the nearer, such as minus squared distances. In nats."""
        log_p = (logits / self.temperature).log_softmax(-1)
        p = log_p.exp()
        return _terms(-(p * log_p).sum(-1).mean(1), p.flatten(0, 1).mean(0), _FLOOR)


@dataclass(frozen=True, kw_only=True)
class BitEntropy:
    """The same over all ``2^d`` vectors of signs, for logits ``2 z c / temperature``, without a matrix of that many columns.

    The softmax is a product of one probability a bit, ``sigmoid(4 z_i / temperature)``. So a sample's entropy is the sum over its
    bits; and the mean over the batch is a product of two matrices, the joint probabilities of each half of the bits.
    """

    temperature: float = 0.01

    def __call__(self, z: Float[Tensor, "b n d"]) -> Terms:
        """``z``: the vectors whose signs are the code. In nats."""
        log_p = _log_bits(z, self.temperature)
        p = log_p.exp()
        half, places = z.shape[-1] // 2, p.flatten(0, 1)
        joint = _joint(places[:, :half]).T @ _joint(places[:, half:]) / len(places)
        return _terms(-(p * log_p).sum((-2, -1)).mean(1), joint.flatten(), _FLOOR)


@dataclass(frozen=True, kw_only=True)
class GroupEntropy:
    """The same for groups of ``size`` bits, summed over them: a bound of what it is for all bits, at a matrix of ``2^size`` columns."""

    size: int
    temperature: float

    def __call__(self, z: Float[Tensor, "b n d"]) -> Terms:
        """``z``: the vectors whose signs are the code. In nats."""
        found: list[Terms] = []
        for part in _log_bits(z, self.temperature).exp().flatten(0, 1).split(self.size, 1):
            joint = _joint(part)
            sample = -(joint * (joint + _SMALL_FLOOR).log()).sum(1)
            found.append(_terms(sample.view(z.shape[:2]).mean(1), joint.mean(0), _SMALL_FLOOR))
        return {name: torch.stack([terms[name] for terms in found]).sum(0) for name in found[0]}


def _log_bits(z: Float[Tensor, "b n d"], temperature: float) -> Float[Tensor, "b n d 2"]:
    """Logarithms of the probabilities that each bit is not set, and that it is."""
    logits = 4 * z / temperature
    return torch.stack([F.logsigmoid(-logits), F.logsigmoid(logits)], -1)


def _joint(p: Float[Tensor, "m d 2"]) -> Float[Tensor, "m codes"]:
    """Probabilities of all 2^d vectors of bits, the first bit highest."""
    joint = p.new_ones(len(p), 1)
    for bit in p.unbind(1):
        joint = (joint[:, :, None] * bit[:, None, :]).flatten(1)
    return joint


def _terms(sample: Float[Tensor, " b"], mean: Float[Tensor, " k"], floor: float) -> Terms:
    batch = -(mean * (mean + floor).log()).sum()
    return {"sample_entropy": sample, "batch_entropy": batch.expand(len(sample))}
