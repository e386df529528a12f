"""Checkpoints of gordonhu608/MQT-LLaVA: the projector alone, or a whole model that has it."""

from collections.abc import Mapping

from torch import Tensor

from tokodec.pretrained.convert.names import Names
from tokodec.pretrained.convert.projector import of_the_projector
from tokodec.tokenizers.mqt import MQT

NAMES = Names(
    renames=(
        (r"^queries$", "query"),
        (r"^positions$", "pos_embed"),
        (r"^norm_queries\.", "ln_q."),
        (r"^norm_keys\.", "ln_k."),
        (r"^norm_values\.", "ln_v."),
        (r"^attention\.qkv\.", "attn.in_proj_"),
        (r"^attention\.out\.", "attn.out_proj."),
    )
)


def take(model: MQT, checkpoint: Mapping[str, Tensor]) -> MQT:
    """``model`` with the weights of a checkpoint. Raises WeightsMismatch."""
    return NAMES.fill(model, of_the_projector(checkpoint))
