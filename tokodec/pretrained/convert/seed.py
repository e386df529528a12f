"""Checkpoints of AILab-CVC/SEED, the second tokenizer."""

from collections.abc import Mapping

from torch import Tensor

from tokodec.pretrained.convert.names import Names
from tokodec.tokenizers.seed import SEED

NAMES = Names(
    renames=(
        (r"^encoder\.patch_embed\.", "encoder.patch_embed.proj."),
        (r"^encoder\.", "visual_encoder."),
        (r"^norm\.", "ln_vision."),
        (r"^former\.queries$", "query_tokens"),
        (r"^decoder\.end\.former\.queries$", "reverse_tokens"),
        (r"^former\.", "Qformer.bert."),
        (r"^decoder\.end\.former\.", "Reverse_Qformer.bert."),
        (r"(former\.bert)\.norm\.", r"\1.embeddings.LayerNorm."),
        (r"(former\.bert)\.layers\.", r"\1.encoder.layer."),
        (r"(layer\.\d+)\.cross\.", r"\1.crossattention."),
        (r"(layer\.\d+\.\w*attention)\.out\.", r"\1.output.dense."),
        (r"(layer\.\d+\.\w*attention)\.norm\.", r"\1.output.LayerNorm."),
        (r"(layer\.\d+\.\w*attention)\.(query|key|value)\.", r"\1.self.\2."),
        (r"(layer\.\d+)\.perceptron\.rise\.", r"\1.intermediate_query.dense."),
        (r"(layer\.\d+)\.perceptron\.fall\.", r"\1.output_query.dense."),
        (r"(layer\.\d+)\.norm\.", r"\1.output_query.LayerNorm."),
        (r"^head\.", "encode_task_layer."),
        (r"^quantizer\.codebook$", "quantize.embedding.weight"),
        (r"^decoder\.task\.", "decode_task_layer."),
        (r"^decoder\.image\.positions$", "pos_embed_image"),
        (r"^decoder\.text\.positions$", "pos_embed"),
        (r"^decoder\.image\.", "blocks_image."),
        (r"^decoder\.text\.", "blocks."),
        (r"^(blocks\w*)\.blocks\.", r"\1."),
        (r"^decoder\.end\.down\.", "image_down."),
        (r"^decoder\.end\.out\.", "distill_image_proj."),
        (r"\.query_bias$", ".q_bias"),
        (r"\.value_bias$", ".v_bias"),
        (r"(blocks\w*\.\d+)\.attention\.", r"\1.attn."),
        (r"\.out\.(weight|bias)$", r".proj.\1"),
        (r"\.perceptron\.", ".mlp."),
        (r"\.rise\.", ".fc1."),
        (r"\.fall\.", ".fc2."),
    ),
    ignored=(r"\.position_ids$",),
)


def take(model: SEED, checkpoint: Mapping[str, Tensor]) -> SEED:
    """``model`` with the weights of a checkpoint. Raises WeightsMismatch."""
    return NAMES.fill(model, checkpoint)
