"""Checkpoints of jy0205/LaVIT, which come in three files: the tower, the rest of the encoder, and one of two decoders."""

from collections.abc import Mapping

from torch import Tensor

from tokodec.pretrained.convert.names import Names
from tokodec.tokenizers.lavit import LaVIT

NAMES = Names(
    renames=(
        (r"^encoder\.patch_embed\.", "encoder.patch_embed.proj."),
        (r"^selector\.enter\.", "token_predictor.in_conv."),
        (r"^selector\.leave\.", "token_predictor.out_conv."),
        (r"^merger\.norm_in\.", "causal_encoder.ln_vision."),
        (r"^merger\.", "causal_encoder."),
        (r"^(causal_encoder\..*)\.causal\.", r"\1.token_causal_attn."),
        (r"^(causal_encoder\..*)\.cross\.", r"\1.token_cross_attn."),
        (r"^head\.", "encode_task_layer."),
        (r"^quantizer\.codebook$", "quantize.embedding.weight"),
        (r"^decoder\.queries$", "decoder.query_embed"),
        (r"^decoder\.positions$", "decoder.pos_embed"),
        (r"^decoder\.enter\.", "decoder.in_proj."),
        (r"^decoder\.task\.", "decoder.decode_task_layer."),
        (r"^(decoder\..*)\.attention\.", r"\1.self_attn."),
        (r"^(decoder\..*)\.cross\.", r"\1.cross_attn."),
        (r"^decoder\.condition\.prompt\.", "decoder.unet_proj."),
        (r"^decoder\.condition\.first\.", "decoder.unet_proj_1."),
        (r"^decoder\.condition\.second\.", "decoder.unet_proj_2."),
        (r"^decoder\.condition\.pool\.positions$", "decoder.unet_attnpool.positional_embedding"),
        (r"^decoder\.condition\.pool\.out\.", "decoder.unet_attnpool.c_proj."),
        (r"^decoder\.condition\.pool\.(.)\w+\.", r"decoder.unet_attnpool.\1_proj."),
        (r"\.query_bias$", ".q_bias"),
        (r"\.value_bias$", ".v_bias"),
        (r"\.attention\.", ".attn."),
        (r"\.out\.(weight|bias)$", r".proj.\1"),
        (r"\.perceptron\.", ".mlp."),
        (r"\.rise\.", ".fc1."),
        (r"\.fall\.", ".fc2."),
    ),
    ignored=(r"^encoder\.(norm|head)\.", r"^vit_proj\.", r"relative_position_index$"),
)
"""What is left out: the end of the tower, which is never run, and the way into one language model."""


def joined(tower: Mapping[str, Tensor], encoder: Mapping[str, Tensor], decoder: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One checkpoint out of ``eva_vitg_psz14.bin``, ``tokenizer_encoder.bin`` and one of the ``tokenizer_decoder.bin``."""
    prefixed = ({f"{part}.{key}": t for key, t in state.items()} for part, state in (("encoder", tower), ("decoder", decoder)))
    return {**next(prefixed), **encoder, **next(prefixed)}


def take(model: LaVIT, checkpoint: Mapping[str, Tensor]) -> LaVIT:
    """``model`` with the weights of a checkpoint as :func:`joined` makes it. Raises WeightsMismatch."""
    return NAMES.fill(model, checkpoint)
