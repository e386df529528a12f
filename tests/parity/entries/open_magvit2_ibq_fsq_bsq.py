"""Entries of SEED-Voken (Open-MAGVIT2, IBQ) and of BSQ-ViT."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from parity import reference
from parity.harness import Case, Found, filled, lattice_figures

from tokodec.pretrained.convert import bsqvit, open_magvit2, vqgan
from tokodec.quantizers.bits import number_of
from tokodec.tokenizers.lattice import lattice, sequence
from tokodec.zoo import MODELS, create

PARTS = ("encoder.", "decoder.", "quantize.", "quant_conv.", "post_quant_conv.")


def find(entry: str) -> Case | None:
    """The case of an entry."""
    match = re.match(r"ibq_(\d+) 256", entry)
    if match and f"ibq_{match[1]}" in MODELS:
        name = f"ibq_{match[1]}"
        return Case(run=partial(_ibq, name), model=name, deep=("pre_quant", "recon", "recon_from_codes"))
    match = re.match(r"openmagvit2_(256L|128L|pretrain_16384|pretrain_262144) 256", entry)
    if match:
        name = f"open_magvit2_{match[1].removeprefix('pretrain_').removesuffix('L')}"
        return Case(run=partial(_magvit, name), model=name, deep=("pre_quant", "recon", "recon_from_codes"))
    return _bsqvit_case(entry)


def _bsqvit_case(entry: str) -> Case | None:
    match = re.match(r"(bsqvit_b\d+(?:_g(\d+))?) 256$", entry)
    if match is None:
        return None
    name = match[1]
    return Case(run=partial(_bsqvit, name, int(match[2] or 1)), model=name, deep=("loss", "recon"))


def _bsqvit(name: str, group: int, recorded: Mapping[str, Any]) -> Found:
    """``group``: how many bits make up an id of ``group_indices_first``."""
    model = filled(name, bsqvit.NAMES)
    z = model.latents(reference.picture(256))
    quantized = model.quantizer(sequence(z))
    bits = quantized.z > 0
    terms = {name: float(term) for name, term in quantized.terms.items()}
    return {
        "indices": number_of(bits),
        "group_indices_first": number_of(bits[..., :group]),
        "quant": quantized.z,
        # Figures were recorded with the default weight of commitment; published models were trained without.
        "loss": terms["sample_entropy"] - terms["batch_entropy"] + 0.25 * terms["commitment"],
        "recon": model.reconstruct(lattice(quantized.z, z.shape[2:])),
    }


def _ibq(name: str, recorded: Mapping[str, Any]) -> Found:
    model = filled(name, vqgan.names_of(create(name)), parts=PARTS)
    return lattice_figures(model, reference.picture(256), recorded)


def _magvit(name: str, recorded: Mapping[str, Any]) -> Found:
    model = filled(name, open_magvit2.names_of(create(name)), parts=PARTS)
    return lattice_figures(model, reference.picture(256), recorded)
