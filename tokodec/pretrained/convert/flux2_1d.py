"""Checkpoints of the package flux2-tokenizer: its own part, without FLUX.2's autoencoder."""

from collections.abc import Mapping

from torch import Tensor

from tokodec.pretrained.convert.names import Names
from tokodec.tokenizers.flux2_1d import Flux2OneD

NAMES = Names(
    renames=(
        (r"^encoder\.queries$", "encoder.query_tokens"),
        (r"^encoder\.embed\.", "encoder.patch_embed.proj."),
        (r"^encoder\.leave\.", "bsq.proj_in."),
        (r"^quantizer\.codebook$", "bsq.codebook.weight"),
        (r"^decoder\.enter\.", "bsq.proj_out."),
        (r"^decoder\.positions$", "decoder.pos_embed_tokens"),
        (r"^decoder\.mask$", "decoder.mask_token"),
        (r"^decoder\.leave\.", "decoder.head."),
        (r"^decoder\.smooth\.", "decoder.conv_out."),
        (r"\.norm_out\.", ".norm."),
        (r"\.attention\.out\.", ".attn.proj."),
        (r"\.attention\.", ".attn."),
        (r"\.perceptron\.rise\.", ".mlp.0."),
        (r"\.perceptron\.fall\.", ".mlp.2."),
    )
)


def take(model: Flux2OneD, checkpoint: Mapping[str, Tensor]) -> Flux2OneD:
    """``model`` with the weights of a checkpoint. Raises WeightsMismatch."""
    return NAMES.fill(model, checkpoint)
