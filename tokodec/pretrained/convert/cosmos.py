"""Weights of NVIDIA's Cosmos image tokenizers, whose TorchScript archives have the names of the modules they were made from."""

from collections.abc import Mapping

from torch import Tensor

from tokodec.pretrained.convert.names import Names
from tokodec.pretrained.convert.vqgan import taming
from tokodec.tokenizers.cosmos import CosmosDiscrete


def names_of(model: CosmosDiscrete) -> Names:
    """As in taming-transformers; what is fixed (wavelet, levels) may lie in the file too."""
    renames = taming(len(model.config.multipliers)).renames
    return Names(renames=renames, ignored=(r"\.wavelets$", r"\._arange$", r"^quantizer\.", r"^inv_quant\."))


def take(model: CosmosDiscrete, checkpoint: Mapping[str, Tensor]) -> CosmosDiscrete:
    """``model`` with the weights of ``autoencoder.jit``."""
    return names_of(model).fill(model, checkpoint)
