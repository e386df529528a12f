"""Checkpoints of DualToken. The text tower, which no picture needs, and averages of training are left out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tokodec.errors import WeightsMismatch
from tokodec.pretrained.convert import vqgan
from tokodec.pretrained.convert.names import Names
from tokodec.tokenizers.dualtoken import DualToken

_VISION = "siglip_model.vision_model."
_BLOCK = (
    (rf"^({_VISION}encoder\..*)\.norm([12])\.", r"\1.layer_norm\2."),
    (rf"^({_VISION}encoder\..*)\.attention\.(query|key|value)\.", r"\1.self_attn.\2_proj."),
    (rf"^({_VISION}encoder\..*)\.attention\.out\.", r"\1.self_attn.out_proj."),
    (r"_attn\.query_", "_attn.q_"),
    (r"_attn\.key_", "_attn.k_"),
    (r"_attn\.value_", "_attn.v_"),
)
_POOL = (
    (r"^post_quant_tail\.norm\.", f"{_VISION}post_layernorm."),
    (r"^post_quant_tail\.pool\.norm\.", f"{_VISION}head.layernorm."),
    (r"^post_quant_tail\.pool\.qkv\.", f"{_VISION}head.attention.in_proj_"),
    (r"^post_quant_tail\.pool\.out\.", f"{_VISION}head.attention.out_proj."),
    (r"^post_quant_tail\.pool\.", f"{_VISION}head."),
)
_PROJECTION = (
    (r"^shortcut\.", "prequant_shortcut."),
    (r"^to_pixel\.", "prequant_pix."),
    (r"^to_semantic\.", "prequant_sem."),
    (r"^post_quant_pixel\.", "postquant_pix."),
    (r"^post_quant_semantic\.", "postquant_sem."),
    (r"^(p\w+quant_.*)\.attention\.qkv\.", r"\1.attn.qkv."),
    (r"^(p\w+quant_.*)\.attention\.query_", r"\1.attn.q_"),
    (r"^(p\w+quant_.*)\.attention\.value_", r"\1.attn.v_"),
    (r"^(p\w+quant_.*)\.attention\.out\.", r"\1.attn.proj."),
    (r"^(p\w+quant_.*)\.perceptron\.gate\.", r"\1.mlp.w0."),
    (r"^(p\w+quant_.*)\.perceptron\.rise\.", r"\1.mlp.w1."),
    (r"^(p\w+quant_.*)\.perceptron\.fall\.", r"\1.mlp.w2."),
    (r"\.perceptron\.norm\.", ".mlp.norm."),
    (r"\.perceptron\.rise\.", ".mlp.fc1."),
    (r"\.perceptron\.fall\.", ".mlp.fc2."),
)
_TABLE = r"^quantizer_\w+\.codebooks\.(\d+)\.weight$"


@dataclass(frozen=True, kw_only=True)
class OneTable(Names):
    """Names where one codebook is kept under the number of every one of ``levels`` levels, with a last row that no id stands for.

    Biases of keys are kept too, though they are nothing: they must be zero.
    """

    levels: int

    def apply(self, model: nn.Module, checkpoint: Mapping[str, Tensor]) -> dict[str, Tensor]:
        for key, tensor in checkpoint.items():
            if key.endswith(".zero_k_bias") and bool(tensor.any()):
                raise WeightsMismatch(f"the checkpoint does not fit: {key} is not zero")
        return super().apply(model, self._merged(checkpoint))

    def _merged(self, checkpoint: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """With one table of each kind, that of the last level, which all others must be equal to."""
        found = {key: t[:-1] if re.search(_TABLE, key) else t for key, t in checkpoint.items()}
        for kind in ("sem", "pix"):
            names = [f"quantizer_{kind}.codebooks.{level}.weight" for level in range(self.levels)]
            for name in names[:-1]:
                if name not in found:
                    raise WeightsMismatch(f"the checkpoint does not fit: missing {name}")
                if names[-1] in found and not torch.equal(found[name], found[names[-1]]):
                    raise WeightsMismatch(f"the checkpoint does not fit: {name} is not {names[-1]}, and levels share one codebook")
                del found[name]
        return found


def names_of(model: DualToken) -> OneTable:
    """The names that the authors gave."""
    config = model.config
    last = config.levels - 1
    tail = [
        (rf"^post_quant_tail\.blocks\.{i}\.", f"{_VISION}encoder.layers.{config.semantic_layer + i}.")
        for i in range(config.depth - config.semantic_layer)
    ]
    return OneTable(
        renames=(
            (r"^tower\.embed\.", f"{_VISION}embeddings.patch_embedding."),
            (r"^tower\.positions$", f"{_VISION}embeddings.position_embedding.weight"),
            (r"^tower\.blocks\.", f"{_VISION}encoder.layers."),
            *tail,
            *_BLOCK,
            *_POOL,
            *_PROJECTION,
            (r"^quantizer\.parts\.(sem|pix)\w+\.levels\.0\.codebook$", rf"quantizer_\1.codebooks.{last}.weight"),
            *vqgan.taming(len(config.decoder_multipliers)).renames,
        ),
        ignored=(
            r"^siglip_model\.(text_model\.|logit_(scale|bias)$)",
            r"\.position_ids$",
            r"\.zero_k_bias$",
            r"^quantizer_\w+\.codebooks\.\d+\.(cluster_size|embed)_ema$",
        ),
        levels=config.levels,
    )


def take(model: DualToken, checkpoint: Mapping[str, Tensor]) -> DualToken:
    """``model`` with the weights of a state dict of its authors. Raises WeightsMismatch."""
    return names_of(model).fill(model, checkpoint)
