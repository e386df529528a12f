"""Checkpoints of SwinTransformer/AiT."""

from collections.abc import Mapping

from torch import Tensor

from tokodec.pretrained.convert.names import Names
from tokodec.tokenizers.ait import AiT

NAMES = Names(
    renames=((r"^quantizer\.codebook$", "_vq_vae._embedding"),),
    ignored=(r"^_vq_vae\._ema_(cluster_size|w)$", r"^codebook\.weight$"),
)
"""Layers have the numbers that they have there. What is left out: averages of training, and a copy of the codes."""


def take(model: AiT, checkpoint: Mapping[str, Tensor]) -> AiT:
    """``model`` with the weights of a checkpoint. Raises WeightsMismatch."""
    return NAMES.fill(model, checkpoint)
