"""Checkpoints of bytedance/1d-tokenizer, and of what is built like them."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from tokodec.pretrained.convert.names import Names

NAMES = Names(
    renames=(
        (r"^encoder\.queries$", "latent_tokens"),
        (r"^decoder\.tower\.", "decoder."),
        (r"\.class_vector$", ".class_embedding"),
        (r"\.positions$", ".positional_embedding"),
        (r"\.row_positions$", ".latent_token_positional_embedding"),
        (r"\.mask$", ".mask_token"),
        (r"^encoder\.embed\.", "encoder.patch_embed."),
        (r"^encoder\.leave\.", "encoder.conv_out."),
        (r"^decoder\.enter\.", "decoder.decoder_embed."),
        (r"\.norm_in\.", ".ln_pre."),
        (r"^((?:en|de)coder)\.norm_out\.", r"\1.ln_post."),
        (r"\.blocks\.(\d+)\.norm([12])\.", r".transformer.\1.ln_\2."),
        (r"\.blocks\.", ".transformer."),
        (r"\.attention\.qkv\.", ".attn.in_proj_"),
        (r"\.attention\.out\.", ".attn.out_proj."),
        (r"\.perceptron\.rise\.", ".mlp.c_fc."),
        (r"\.perceptron\.fall\.", ".mlp.c_proj."),
        (r"^decoder\.head\.(\d)\.", r"decoder.ffn.\1."),
        (r"^decoder\.head\.", "decoder.ffn.0."),
        (r"^decoder\.smooth\.", "decoder.conv_out."),
        (r"^decoder\.codebook$", "pixel_quantize.embedding.weight"),
        (r"^decoder\.pixels\.", "pixel_decoder."),
        (r"^quantizer\.codebook$", "quantize.embedding.weight"),
    ),
)
"""Of rows."""


def levels(count: int) -> tuple[tuple[str, str], ...]:
    """Levels of MaskGIT's network as the authors count them: the finest is 0 on both sides."""
    return (
        *((rf"((?:^|_)decoder)\.levels\.{i}\.", rf"\1.up.{count - 1 - i}.block.") for i in range(count)),
        *((rf"((?:^|_)decoder)\.ups\.{i}\.", rf"\1.up.{count - 1 - i}.upsample_conv.") for i in range(count - 1)),
        (r"^encoder\.levels\.(\d+)\.", r"encoder.down.\1.block."),
        (r"\.middle\.", ".mid."),
        (r"\.shortcut\.", ".nin_shortcut."),
    )


def proxy_names(model: Any) -> Names:
    """Of rows that are decoded through MaskGIT's network."""
    return Names(renames=(*NAMES.renames, *levels(len(model.config.decoder_multipliers))))


def maskgit_names(model: Any) -> Names:
    """Of MaskGIT's network alone."""
    return Names(renames=(*levels(len(model.config.multipliers)), (r"^quantizer\.codebook$", "quantize.embedding.weight")))


def take(model: Any, checkpoint: Mapping[str, Tensor]) -> Any:
    """A model with pixels or real vectors, with the weights of a checkpoint. Raises WeightsMismatch."""
    return NAMES.fill(model, checkpoint)


def take_proxy(model: Any, checkpoint: Mapping[str, Tensor]) -> Any:
    """One that is decoded through MaskGIT's network."""
    return proxy_names(model).fill(model, checkpoint)


def take_maskgit(model: Any, checkpoint: Mapping[str, Tensor]) -> Any:
    """That network alone."""
    return maskgit_names(model).fill(model, checkpoint)
