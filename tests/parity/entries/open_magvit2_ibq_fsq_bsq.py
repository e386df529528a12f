"""Entries of SEED-Voken (Open-MAGVIT2, IBQ) and of BSQ-ViT."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from parity import reference
from parity.harness import Case, Found, filled, lattice_figures

from tokodec.pretrained.convert import open_magvit2, vqgan
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
    return None


def _ibq(name: str, recorded: Mapping[str, Any]) -> Found:
    model = filled(name, vqgan.names_of(create(name)), parts=PARTS)
    return lattice_figures(model, reference.picture(256), recorded)


def _magvit(name: str, recorded: Mapping[str, Any]) -> Found:
    model = filled(name, open_magvit2.names_of(create(name)), parts=PARTS)
    return lattice_figures(model, reference.picture(256), recorded)
