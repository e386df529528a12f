"""Checkpoints of TokenFlow, whose towers have the names of openai/CLIP or of transformers."""

from collections.abc import Mapping

from torch import Tensor

from tokodec.pretrained.convert.names import Names
from tokodec.pretrained.convert.vqgan import LLAMAGEN
from tokodec.tokenizers.tokenflow import TokenFlow, TokenFlowSigLIP

_CLIP = (
    (r"^tower\.embed\.", "encoder_vqkd.conv1."),
    (r"^tower\.token$", "encoder_vqkd.class_embedding"),
    (r"^tower\.positions$", "encoder_vqkd.positional_embedding"),
    (r"^tower\.norm_in\.", "encoder_vqkd.ln_pre."),
    (r"^tower\.norm_out\.", "encoder_vqkd.ln_post."),
    (r"^tower\.blocks\.(\d+)\.norm(\d)\.", r"encoder_vqkd.transformer.resblocks.\1.ln_\2."),
    (r"^tower\.blocks\.(\d+)\.attention\.qkv\.", r"encoder_vqkd.transformer.resblocks.\1.attn.in_proj_"),
    (r"^tower\.blocks\.(\d+)\.attention\.out\.", r"encoder_vqkd.transformer.resblocks.\1.attn.out_proj."),
    (r"^tower\.blocks\.(\d+)\.perceptron\.rise\.", r"encoder_vqkd.transformer.resblocks.\1.mlp.c_fc."),
    (r"^tower\.blocks\.(\d+)\.perceptron\.fall\.", r"encoder_vqkd.transformer.resblocks.\1.mlp.c_proj."),
)
_SIGLIP = (
    (r"^tower\.embed\.", "encoder_vqkd.vision_model.embeddings.patch_embedding."),
    (r"^tower\.positions$", "encoder_vqkd.vision_model.embeddings.position_embedding.weight"),
    (r"^tower\.blocks\.(\d+)\.norm(\d)\.", r"encoder_vqkd.vision_model.encoder.layers.\1.layer_norm\2."),
    (r"^tower\.blocks\.(\d+)\.attention\.query\.", r"encoder_vqkd.vision_model.encoder.layers.\1.self_attn.q_proj."),
    (r"^tower\.blocks\.(\d+)\.attention\.key\.", r"encoder_vqkd.vision_model.encoder.layers.\1.self_attn.k_proj."),
    (r"^tower\.blocks\.(\d+)\.attention\.value\.", r"encoder_vqkd.vision_model.encoder.layers.\1.self_attn.v_proj."),
    (r"^tower\.blocks\.(\d+)\.attention\.out\.", r"encoder_vqkd.vision_model.encoder.layers.\1.self_attn.out_proj."),
    (r"^tower\.blocks\.(\d+)\.perceptron\.rise\.", r"encoder_vqkd.vision_model.encoder.layers.\1.mlp.fc1."),
    (r"^tower\.blocks\.(\d+)\.perceptron\.fall\.", r"encoder_vqkd.vision_model.encoder.layers.\1.mlp.fc2."),
)
_SEMANTIC = (
    (r"^head\.", "encode_task_layer."),
    (r"^decoder_semantic\.head\.", "decode_task_layer."),
    (r"^decoder_semantic\.embed\.", "decoder_vqkd.patch_embed.proj."),
    (r"^decoder_semantic\.token$", "decoder_vqkd.cls_token"),
    (r"^decoder_semantic\.positions$", "decoder_vqkd.pos_embed"),
    (r"^decoder_semantic\.norm\.", "decoder_vqkd.fc_norm."),
    (r"^decoder_semantic\.blocks\.(\d+)\.attention\.query_bias$", r"decoder_vqkd.blocks.\1.attn.q_bias"),
    (r"^decoder_semantic\.blocks\.(\d+)\.attention\.value_bias$", r"decoder_vqkd.blocks.\1.attn.v_bias"),
    (r"^decoder_semantic\.blocks\.(\d+)\.attention\.qkv\.", r"decoder_vqkd.blocks.\1.attn.qkv."),
    (r"^decoder_semantic\.blocks\.(\d+)\.attention\.out\.", r"decoder_vqkd.blocks.\1.attn.proj."),
    (r"^decoder_semantic\.blocks\.(\d+)\.perceptron\.rise\.", r"decoder_vqkd.blocks.\1.mlp.fc1."),
    (r"^decoder_semantic\.blocks\.(\d+)\.perceptron\.fall\.", r"decoder_vqkd.blocks.\1.mlp.fc2."),
    (r"^decoder_semantic\.", "decoder_vqkd."),
    (r"^pyramid\.quantizer\.semantic$", "quantize.embedding_vqkd.weight"),
    (r"^pyramid\.quantizer\.pixel$", "quantize.embedding_vqgan.weight"),
)
_PIXELS = (*LLAMAGEN.renames, (r"^decoder_vqkd\.res\.", "decoder_vqkd.blocks."))
"""Those of LlamaGen, but blocks of the semantic decoder keep their name."""
_USED_UP = (r"^quantize\.codebook_used$", r"^scaling_layer\.(shift|scale)$")


def names_of(model: TokenFlow) -> Names:
    """The names that the authors of that model gave. SigLIP's last layer and what follows it are in a file, and are not used."""
    if not isinstance(model, TokenFlowSigLIP):
        return Names(renames=(*_CLIP, *_SEMANTIC, *_PIXELS), ignored=_USED_UP)
    last = rf"^encoder_vqkd\.vision_model\.(encoder\.layers\.{model.config.tower_depth}|post_layernorm|head)\."
    return Names(renames=(*_SIGLIP, *_SEMANTIC, *_PIXELS), ignored=(*_USED_UP, last))


def take(model: TokenFlow, checkpoint: Mapping[str, Tensor]) -> TokenFlow:
    """``model`` with the weights of a checkpoint. Raises WeightsMismatch."""
    return names_of(model).fill(model, checkpoint)
