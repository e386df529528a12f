"""Checkpoints of zfu006/ReTok. Positions of a second tail in the decoder, which reads none, and a head of training are left out."""

from collections.abc import Mapping

from torch import Tensor

from tokodec.pretrained.convert.names import Names
from tokodec.tokenizers.retok import ReTok

_BLOCKS = (
    (r"^encoder\.features\.", "encoder."),
    (r"^encoder\.row\.", "s2to1encoder."),
    (r"^decoder\.lattice\.", "s1to2decoder."),
    (r"^decoder\.pixels\.", "decoder."),
    (r"^(s\w+)\.blocks\.", r"\1.transformer."),
    (r"\.row_positions$", ".latent_token_positional_embedding"),
    (r"\.spare_positions$", ".latent_token_positional_embedding_comp"),
    (r"^(s\w+)\.positions$", r"\1.positional_embedding"),
    (r"^(s\w+)\.norm_in\.", r"\1.ln_pre."),
    (r"^(s\w+)\.norm_out\.", r"\1.ln_post."),
    (r"^s2to1encoder\.enter\.", "s2to1encoder.encoder_embed."),
    (r"^s1to2decoder\.enter\.", "s1to2decoder.decoder_embed."),
    (r"\.start\.", ".global_proj."),
    (r"\.leave\.", ".conv_out."),
    (r"\.attention\.qkv\.", ".self_attn.in_proj_"),
    (r"\.attention\.out\.", ".self_attn.out_proj."),
    (r"\.cross\.qkv\.", ".multihead_attn.in_proj_"),
    (r"\.cross\.out\.", ".multihead_attn.out_proj."),
    (r"\.perceptron\.rise\.", ".linear1."),
    (r"\.perceptron\.fall\.", ".linear2."),
)
_CNN = (
    (r"^encoder\.levels\.(\d+)\.blocks\.", r"encoder.conv_blocks.\1.res."),
    (r"^encoder\.levels\.(\d+)\.resize\.", r"encoder.conv_blocks.\1.downsample.conv."),
    (r"^decoder\.levels\.(\d+)\.", r"decoder.conv_blocks.\1.res."),
    (r"^decoder\.ups\.(\d+)\.", r"decoder.conv_blocks.\1.upsample.conv1."),
    (r"\.middle\.", ".mid."),
    (r"\.shortcut\.", ".nin_shortcut."),
    (r"^quantizer\.codebook$", "quantize.embedding.weight"),
)
NAMES = Names(
    renames=(*_BLOCKS, *_CNN),
    ignored=(r"^quantize\.codebook_used$", r"^s1to2decoder\.(distill_mlp\.|latent_token_positional_embedding_comp$)"),
)


def take(model: ReTok, checkpoint: Mapping[str, Tensor]) -> ReTok:
    """``model`` with the weights of a state dict of its authors. Raises WeightsMismatch."""
    return NAMES.fill(model, checkpoint)
