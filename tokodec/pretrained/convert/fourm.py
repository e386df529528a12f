"""Checkpoints of apple/ml-4m. Tables of positions have the size that a file has them in: the model follows it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from torch import Tensor

from tokodec.pretrained.convert.names import Names
from tokodec.tokenizers.fourm import FourMEncoder
from tokodec.tokenizers.fourm_vectors import FourMVectors

ModelT = TypeVar("ModelT", bound=FourMEncoder)

_TRUNK = (
    (r"\.trunk\.", "."),
    (r"\.positions$", ".pos_emb"),
    (r"\.(norm|perceptron)\.", r".\1_post."),
    (r"\.norm_post\.", ".norm_mlp."),
    (r"(blocks\.\d+)\.perceptron_post\.", r"\1.mlp."),
    (r"\.perceptron_post\.", ".post_mlp."),
    (r"\.rise\.", ".fc1."),
    (r"\.fall\.", ".fc2."),
    (r"\.attention\.qkv\.", ".attn.qkv."),
    (r"\.attention\.out\.", ".attn.proj."),
    (r"^decoder\.out\.", "decoder.out_proj."),
    (r"^quantizer\.codebook$", "quantize._codebook.embed"),
    (r"^labels\.", "cls_emb."),
)
_MASKS = (
    (r"^decoder\.smooth\.(\d)\.conv\.", r"decoder.out_conv.\1.dwconv."),
    (r"^decoder\.smooth\.(\d)\.rise\.", r"decoder.out_conv.\1.pwconv1."),
    (r"^decoder\.smooth\.(\d)\.fall\.", r"decoder.out_conv.\1.pwconv2."),
    (r"^decoder\.smooth\.(\d)\.(norm|gamma)", r"decoder.out_conv.\1.\2"),
)
_IGNORED = (r"^quantize\._codebook\.(initted|cluster_size)$", r"^colorize$")

LATTICE = Names(renames=(*_MASKS, *_TRUNK), ignored=_IGNORED)
VECTORS = Names(
    renames=(
        (r"\.enter\.", ".linear_in."),
        (r"\.leave\.", ".linear_out."),
        (r"\.norms\.", ".layernorms."),
        (r"\.perceptrons\.(\d+)\.rise\.", r".blocks.\1.block.0."),
        (r"\.perceptrons\.(\d+)\.fall\.", r".blocks.\1.block.2."),
        (r"^quantizer\.codebook$", "quantize.codes"),
        (r"^quantizer\.(key|value)$", r"quantize.to_\1.weight"),
        (r"to_key", "to_k"),
        (r"to_value", "to_v"),
    )
)


def names_of(model: FourMEncoder | FourMVectors) -> Names:
    """The names that the authors of that model gave."""
    return VECTORS if isinstance(model, FourMVectors) else LATTICE


def take(model: ModelT, checkpoint: Mapping[str, Tensor]) -> ModelT:
    """A model like ``model`` with the weights of a checkpoint, and with its tables of positions. Raises WeightsMismatch."""
    table = checkpoint.get("encoder.pos_emb")
    if table is not None and table.ndim == 4 and table.shape[2] == table.shape[3]:
        model = type(model)(replace(model.config, grid=table.shape[3]))
    return names_of(model).fill(model, checkpoint)


def take_vectors(model: FourMVectors, checkpoint: Mapping[str, Tensor]) -> FourMVectors:
    """``model`` with the weights of a checkpoint. Raises WeightsMismatch."""
    return VECTORS.fill(model, checkpoint)
