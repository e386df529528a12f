"""Checkpoints of BSQ-ViT, its moving averages where it has some."""

from collections.abc import Mapping

from torch import Tensor

from tokodec.pretrained.convert.names import Names
from tokodec.tokenizers.bsqvit import BSQViT

NAMES = Names(
    renames=(
        (r"\.tower\.", "."),
        (r"\.positions$", ".positional_embedding"),
        (r"\.norm_in\.", ".ln_pre."),
        (r"\.norm_out\.", ".ln_post."),
        (r"\.blocks\.(\d+)\.", r".transformer.resblocks.\1."),
        (r"\.norm([12])\.", r".ln_\1."),
        (r"\.attention\.qkv\.", ".attn.in_proj_"),
        (r"\.attention\.out\.", ".attn.out_proj."),
        (r"\.perceptron\.rise\.", ".mlp.c_fc."),
        (r"\.perceptron\.fall\.", ".mlp.c_proj."),
        (r"^encoder\.embed\.", "encoder.conv1."),
        (r"^decoder\.rise\.", "decoder.ffn.0."),
        (r"^decoder\.out\.", "decoder.conv_out."),
    ),
    ignored=(r"^quantize\.(group_)?basis$",),
)
_WRAPPERS = ("module.module.", "module.")
"""Of averages, and of distributed training."""


def take(model: BSQViT, checkpoint: Mapping[str, Tensor]) -> BSQViT:
    """``model`` with the weights of a state dict of its authors, wrapped or not. Raises WeightsMismatch."""
    wrapper = next((w for w in _WRAPPERS if all(key.startswith(w) for key in checkpoint)), "")
    return NAMES.fill(model, {key.removeprefix(wrapper): t for key, t in checkpoint.items()})
