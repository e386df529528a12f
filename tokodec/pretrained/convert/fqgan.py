"""Checkpoints of FQGAN."""

from collections.abc import Iterator, Mapping

from torch import Tensor

from tokodec.pretrained.convert.names import Names
from tokodec.pretrained.convert.vqgan import LLAMAGEN
from tokodec.tokenizers.fqgan import FQGAN

_BRANCHES = {
    2: (("vis", "visual_head"), ("sem", "semantic_head")),
    3: (("vis", "visual_head"), ("sem_mid", "semantic_head_mid"), ("sem_high", "semantic_head_high")),
}
"""By how many there are: what is called after a branch, and its adapter."""
_HEADS = {2: ("feat_pred_head",), 3: ("mid_sem_feat_pred", "high_sem_feat_pred")}

_ADAPTERS = (
    (r"\.adapter\.", "."),
    (r"\.positions$", ".positional_embedding"),
    (r"\.norm_in\.", ".ln_pre."),
    (r"\.norm_out\.", ".ln_post."),
    (r"\.blocks\.(\d+)\.", r".transformer.\1."),
    (r"\.norm([12])\.", r".ln_\1."),
    (r"\.attention\.qkv\.", ".attn.in_proj_"),
    (r"\.attention\.out\.", ".attn.out_proj."),
    (r"\.perceptron\.rise\.", ".mlp.c_fc."),
    (r"\.perceptron\.fall\.", ".mlp.c_proj."),
    (r"\.rise\.", ".upscale.0."),
    (r"\.mix\.", ".upscale.2."),
    (r"\.whole$", ".class_embedding"),
)


def names_of(model: FQGAN) -> Names:
    """The names that its authors gave to two or three codebooks."""
    return Names(renames=tuple(_renames(len(model.branches))), ignored=(r"^quantize_\w+\.codebook_used$",))


def _renames(branches: int) -> Iterator[tuple[str, str]]:
    for i, (name, adapter) in enumerate(_BRANCHES[branches]):
        yield rf"^branches\.{i}\.adapter\.", f"{adapter}.adapter."
        yield rf"^branches\.{i}\.quant_conv\.", f"quant_conv_{name}."
        yield rf"^branches\.{i}\.(norm_out|conv_out)\.", rf"encoder.\1_{name}."
        yield rf"^quantizer\.parts\.{i}\.codebook$", f"quantize_{name}.embedding.weight"
    for i, head in enumerate(_HEADS[branches]):
        yield rf"^teachers\.{i}\.", f"{head}."
    # Adapters have the names of transformers, all else those of VQGAN: a mark keeps them apart until the end.
    for name in (*_HEADS[branches], *(adapter for _, adapter in _BRANCHES[branches])):
        for pattern, replacement in _ADAPTERS:
            yield rf"^({name}(?:\..*)?){pattern}", rf"\1{_shifted(replacement)}"
    for pattern, replacement in LLAMAGEN.renames:
        kept = pattern if pattern.startswith("^") else rf"^((?:encoder|decoder)(?:\..*)?){pattern}"
        yield kept, replacement if pattern.startswith("^") else rf"\1{_shifted(replacement)}"
    for _, adapter in _BRANCHES[branches]:
        yield rf"^{adapter}\.", f"encoder.{adapter}.0."


def _shifted(replacement: str) -> str:
    """With its group counted after the one in front of it."""
    return replacement.replace(r"\1", r"\2")


def take(model: FQGAN, checkpoint: Mapping[str, Tensor]) -> FQGAN:
    """``model`` with the weights of a checkpoint of its authors. Raises WeightsMismatch."""
    return names_of(model).fill(model, checkpoint)
