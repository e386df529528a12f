"""Whole-number logits, in 1/64 octave, to whole counts: the same on any machine (docs/format.md, section 8).

Powers of two come from a table that is stored with the weights, so no machine's own are needed.
"""

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokodec.entropy.codingtables import PRECISION

OCTAVE = 64
"""Logits are in 1/64 of an octave."""
RANGE = 5
"""The unlikeliest of n symbols is taken to be at least 2^-5/n as likely as the likeliest."""
UNITS = OCTAVE / math.log(2)
"""Units of a logit in one nat."""

Counts = Float[np.ndarray, "n symbols"]


def powers() -> Int[Tensor, " octave"]:
    """2^30 times 2^(-i / OCTAVE) of one octave: what is stored."""
    fractions = 2.0 ** (30 - torch.arange(OCTAVE, dtype=torch.float64) / OCTAVE)
    return fractions.round().to(torch.int32)


def weights(powers: Int[np.ndarray, " octave"], symbols: int) -> Int[np.ndarray, " m"]:
    """The same down to 2^-RANGE / symbols."""
    octaves = RANGE + math.ceil(math.log2(symbols))
    return np.concatenate([powers >> octave for octave in range(octaves)])


def counts(logits: Int[np.ndarray, "n symbols"], weights: Int[np.ndarray, " m"]) -> Counts:
    """Counts less one, which sum to 2^24 less the number of symbols; what is left over goes to the likeliest, the first of equals.

    Less one, because constriction gives every symbol one more and scales the rest by exactly 1.
    """
    best = logits.argmax(1)
    below = logits[np.arange(len(logits)), best][:, None] - logits
    weight = weights[np.minimum(below, len(weights) - 1)]
    free = (1 << PRECISION) - logits.shape[1]
    found = weight * free // weight.sum(1, keepdims=True)
    found[np.arange(len(logits)), best] += free - found.sum(1)
    return found.astype(np.float64)
