"""Checkpoints of mu-cai/matryoshka-mm: the projector of LLaVA, whose names are ours."""

from collections.abc import Mapping

from torch import Tensor

from tokodec.pretrained.convert.names import Names
from tokodec.pretrained.convert.projector import of_the_projector
from tokodec.tokenizers.m3 import M3

NAMES = Names(renames=((r"^projector\.", ""),))


def take(model: M3, checkpoint: Mapping[str, Tensor]) -> M3:
    """``model`` with the weights of a checkpoint. Raises WeightsMismatch."""
    return NAMES.fill(model, of_the_projector(checkpoint))
