"""Checkpoints of apple/ml-4m. Tables of positions have the size that a file has them in: the model follows it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from torch import Tensor, nn

from tokodec.nn.unet import PlaceAttention, Step
from tokodec.pretrained.convert.names import Names
from tokodec.tokenizers.fourm import FourMEncoder
from tokodec.tokenizers.fourm_divae import FourMDivae
from tokodec.tokenizers.fourm_vectors import FourMVectors

ModelT = TypeVar("ModelT", bound=FourMEncoder)

_TRUNK = (
    (r"\.trunk\.norm\.", ".norm_mlp."),
    (r"\.trunk\.perceptron\.", ".post_mlp."),
    (r"\.trunk\.", "."),
    (r"\.positions$", ".pos_emb"),
    (r"\.perceptron\.", ".mlp."),
    (r"\.rise\.", ".fc1."),
    (r"\.fall\.", ".fc2."),
    (r"\.attention\.qkv\.", ".attn.qkv."),
    (r"\.attention\.out\.", ".attn.proj."),
    (r"^decoder\.out\.(weight|bias)$", r"decoder.out_proj.\1"),
    (r"^quantizer\.codebook$", "quantize._codebook.embed"),
    (r"^labels\.", "cls_emb."),
)
_MASKS = (
    (r"^decoder\.smooth\.(\d)\.conv\.", r"decoder.out_conv.\1.dwconv."),
    (r"^decoder\.smooth\.(\d)\.rise\.", r"decoder.out_conv.\1.pwconv1."),
    (r"^decoder\.smooth\.(\d)\.fall\.", r"decoder.out_conv.\1.pwconv2."),
    (r"^decoder\.smooth\.(\d)\.(norm|gamma)", r"decoder.out_conv.\1.\2"),
)
_UNET = (
    (r"^decoder\.time\.1\.", "decoder.time_embed.2."),
    (r"^decoder\.time\.", "decoder.time_embed."),
    (r"^decoder\.inputs\.0\.", "decoder.input_blocks.0.0."),
    (r"^decoder\.inputs\.(\d+)\.(weight|bias)$", r"decoder.input_blocks.\1.0.op.\2"),
    (r"^decoder\.(in|out)puts\.", r"decoder.\1put_blocks."),
    (r"^decoder\.middle\.", "decoder.middle_block."),
    (r"\.block\.", ".0."),
    (r"^(decoder\..*)\.norm1\.", r"\1.in_layers.0."),
    (r"\.conv1\.", ".in_layers.2."),
    (r"\.time\.", ".emb_layers.1."),
    (r"^(decoder\..*)\.norm2\.", r"\1.out_layers.0."),
    (r"\.conv2\.", ".out_layers.3."),
    (r"\.shortcut\.", ".skip_connection."),
    (r"^(decoder\.\w+_blocks\.\d+)\.attention\.", r"\1.1."),
    (r"^(decoder\..*\.\d)\.attention\.qkv\.", r"\1.qkv."),
    (r"^(decoder\..*\.\d)\.attention\.out\.", r"\1.proj_out."),
    (r"^decoder\.norm\.", "decoder.out.0."),
    (r"^decoder\.out\.(weight|bias)$", r"decoder.out.2.\1"),
)
"""All but steps up, whose number depends on whether there is attention before them."""
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
    if isinstance(model, FourMVectors):
        return VECTORS
    return divae(model) if isinstance(model, FourMDivae) else LATTICE


def divae(model: FourMDivae) -> Names:
    """Of a model with a U-Net."""
    ups = [
        (rf"^decoder\.outputs\.{i}\.resize\.", f"decoder.output_blocks.{i}.{2 if _attends(step) else 1}.conv.")
        for i, step in enumerate(model.decoder.outputs)
    ]
    return Names(renames=(*ups, *_UNET, *_TRUNK), ignored=_IGNORED)


def _attends(step: nn.Module) -> bool:
    assert isinstance(step, Step)
    return isinstance(step.attention, PlaceAttention)


def take(model: ModelT, checkpoint: Mapping[str, Tensor]) -> ModelT:
    """A model like ``model`` with the weights of a checkpoint, and with its tables of positions. Raises WeightsMismatch."""
    table = checkpoint.get("encoder.pos_emb")
    if table is not None and table.ndim == 4 and table.shape[2] == table.shape[3]:
        model = type(model)(replace(model.config, grid=table.shape[3]))
    return names_of(model).fill(model, checkpoint)


def take_vectors(model: FourMVectors, checkpoint: Mapping[str, Tensor]) -> FourMVectors:
    """``model`` with the weights of a checkpoint. Raises WeightsMismatch."""
    return VECTORS.fill(model, checkpoint)
