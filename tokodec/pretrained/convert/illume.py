"""Checkpoints of DualViTok, the tokenizer of ILLUME+."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from tokodec.pretrained.convert import vqgan
from tokodec.pretrained.convert.names import Names
from tokodec.tokenizers.illume import DualViTok

_TRUNKS = (
    (r"^to_semantic\.", "semantic_encoder."),
    (r"^decoder_semantic\.", "semantic_decoder."),
    (r"^tower\.", "semantic_encoder.model."),
)
_INSIDE = (
    (r"\.embed\.weight$", ".patch_embed.proj.weight"),
    (r"\.model\.norm\.", ".model.merger.ln_q."),
    (r"\.merger\.(\d)\.", r".merger.mlp.\1."),
    (r"\.enter\.", ".proj_in."),
    (r"\.leave\.", ".proj_out.0."),
    (r"_decoder\.norm\.", "_decoder.proj_out.1."),
    (r"\.attention\.qkv\.", ".attn.qkv."),
    (r"\.attention\.out\.", ".attn.proj."),
    (r"\.perceptron\.rise\.", ".mlp.fc1."),
    (r"\.perceptron\.fall\.", ".mlp.fc2."),
)
_CODES = (
    (r"^quantizers\.(\w+)\.codebook$", r"\1_quantizer.frozen_codebook"),
    (r"^quantizers\.(\w+)\.transform\.", r"\1_quantizer.code_transform."),
    (r"^(quant_conv|post_quant_conv)\.", r"pixel_\1."),
)
_NORMS = (
    (r"^(decoder\..*norm\w*)\.norm\.", r"\1.norm_layer."),
    (r"^(decoder\..*norm\w*)\.gain\.", r"\1.conv_y."),
    (r"^(decoder\..*norm\w*)\.offset\.", r"\1.conv_b."),
)
_OF_CLIPS = 5
"""Axes of a kernel of clips."""


@dataclass(frozen=True, kw_only=True)
class Divided(Names):
    """Names where the networks of pixels, after ``pixel_``, have those of ``pixels``; and kernels of patches an axis for frames."""

    pixels: Names

    def upstream(self, name: str) -> str:
        if name.startswith(("encoder.", "decoder.")):
            return f"pixel_{self.pixels.upstream(name)}"
        return super().upstream(name)

    def apply(self, model: nn.Module, checkpoint: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return super().apply(model, {key: t.flatten(1, 2) if t.ndim == _OF_CLIPS else t for key, t in checkpoint.items()})


def names_of(model: DualViTok) -> Divided:
    """The names that the authors gave: of the networks of pixels those of taming-transformers."""
    pixels = Names(renames=(*_NORMS, *vqgan.taming(len(model.config.multipliers)).renames))
    return Divided(renames=(*_TRUNKS, *_INSIDE, *_CODES), pixels=pixels)


def take(model: DualViTok, checkpoint: Mapping[str, Tensor]) -> DualViTok:
    """``model`` with the weights of a checkpoint of its authors. Raises WeightsMismatch."""
    return names_of(model).fill(model, checkpoint)
