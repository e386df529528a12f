"""What diffusers calls the halves of a KL autoencoder (AutoencoderKL)."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_PARTS = (
    (r"encoder\.mix\.", "quant_conv."),
    (r"decoder\.mix\.", "post_quant_conv."),
    (r"(encoder|decoder)\.net\.", r"\2."),
    (r"encoder\.levels\.", "encoder.down_blocks."),
    (r"decoder\.levels\.", "decoder.up_blocks."),
    (r"(encoder\..*)\.resize\.", r"\2.downsamplers.0.conv."),
    (r"(decoder\..*)\.resize\.", r"\2.upsamplers.0.conv."),
    (r"(.*)\.middle\.1\.", r"\2.mid_block.attentions.0."),
    (r"(.*)\.middle\.0\.", r"\2.mid_block.resnets.0."),
    (r"(.*)\.middle\.2\.", r"\2.mid_block.resnets.1."),
    (r"(.*)\.blocks\.(\d+)\.", r"\2.resnets.\3."),
    (r"(.*)\.shortcut\.", r"\2.conv_shortcut."),
    (r"(.*)\.attentions\.0\.norm\.", r"\2.attentions.0.group_norm."),
    (r"(.*)\.query\.", r"\2.to_q."),
    (r"(.*)\.key\.", r"\2.to_k."),
    (r"(.*)\.value\.", r"\2.to_v."),
    (r"(.*)\.attentions\.0\.out\.", r"\2.attentions.0.to_out.0."),
    (r"(.*)\.norm_out\.", r"\2.conv_norm_out."),
)


def autoencoder(encoder: str, decoder: str, prefix: str) -> tuple[tuple[str, str], ...]:
    """Renames of a model that calls the halves ``encoder`` and ``decoder``, in a checkpoint whose keys begin with ``prefix``."""
    start = re.escape(prefix)
    return (
        (rf"^{encoder}\.", f"{prefix}encoder."),
        (rf"^{decoder}\.", f"{prefix}decoder."),
        *((rf"^({start}){pattern}", rf"\1{replacement}") for pattern, replacement in _PARTS),
    )


def with_mixes(checkpoint: Mapping[str, Tensor], prefix: str, z: int) -> dict[str, Tensor]:
    """A checkpoint of latents of ``z`` channels with the 1x1 convolutions beside them, which some are published without: those that do
    nothing.
    """
    if any(key.startswith((f"{prefix}quant_conv.", f"{prefix}post_quant_conv.")) for key in checkpoint):
        return dict(checkpoint)
    found = dict(checkpoint)
    for name, width in (("quant_conv", 2 * z), ("post_quant_conv", z)):
        found |= {f"{prefix}{name}.weight": torch.eye(width)[..., None, None], f"{prefix}{name}.bias": torch.zeros(width)}
    return found
