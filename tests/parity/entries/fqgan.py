"""Entries of FQGAN: two and three codebooks."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from parity import reference, ties
from parity.harness import Case, Found, filled

from tokodec.pretrained.convert.fqgan import names_of
from tokodec.quantizers.factorized import disentanglement
from tokodec.tokenizers.fqgan import FQGAN
from tokodec.tokenizers.lattice import lattice, sequence
from tokodec.zoo import create

NAMES = {
    "dual VQ-16 256": ("fqgan_dual_f16", ("vis", "sem")),
    "dual VQ-8 256": ("fqgan_dual_f8", ("vis", "sem")),
    "triple VQ-16 256": ("fqgan_triple_f16", ("vis", "mid", "high")),
    "triple VQ-8 256": ("fqgan_triple_f8", ("vis", "mid", "high")),
}
"""Our names, and what the codebooks are called in the order of our ids."""
_DISENTANGLED = 0.1
"""The weight with which its authors report it."""


def find(entry: str) -> Case | None:
    """The case of an entry."""
    if entry not in NAMES:
        return None
    name, parts = NAMES[entry]
    return Case(run=partial(_run, name, parts), model=name, deep=("recon_from_codes", "feat", *(f"quant_{part}" for part in parts)))


def _run(name: str, parts: tuple[str, ...], recorded: Mapping[str, Any]) -> Found:
    model = filled(name, names_of(create(name)))
    assert isinstance(model, FQGAN)
    z = sequence(model.latents(reference.picture(256)))
    found: dict[str, Any] = {}
    codes = []
    for part, quantizer, vectors in zip(parts, model.quantizer.named().values(), z.split(model.config.dim, -1), strict=True):
        ids = ties.settled(quantizer, vectors, quantizer.ids(vectors), recorded[f"idx_{part}"])
        codes.append(quantizer.lookup(ids))
        found |= {f"idx_{part}": ids.flatten(), f"quant_{part}": lattice(codes[-1], (model.config.grid, model.config.grid))}
    quant = lattice(torch.cat(codes, -1), (model.config.grid, model.config.grid))
    found |= {"recon_from_codes": model.reconstruct(quant), "disent": _DISENTANGLED * float(disentanglement(codes))}
    prediction = model.predictions(quant)
    return found | ({"feat": prediction["semantic"][:, 0]} if "semantic" in prediction else {})
