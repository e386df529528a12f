"""Entries of NVIDIA's Cosmos image tokenizers."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from parity import reference
from parity.harness import Case, Found, filled

from tokodec.pretrained.convert.cosmos import names_of
from tokodec.tokenizers.lattice import lattice, sequence
from tokodec.zoo import MODELS, create


def find(entry: str) -> Case | None:
    """The case of an entry."""
    match = re.match(r"DI(\d+x\d+) 256", entry)
    name = match and f"cosmos_di_{match[1]}"
    return Case(run=partial(_run, name), model=name, deep=("recon", "recon_from_codes")) if name in MODELS else None


def _run(name: str, _recorded: Mapping[str, Any]) -> Found:
    model = filled(name, names_of(create(name)))
    z = model.latents(reference.picture(256))
    ids = model.quantizer.ids(sequence(z))
    quant = lattice(model.quantizer.lookup(ids), z.shape[2:])
    recon = model.reconstruct(quant)
    indices = ids.unflatten(1, z.shape[2:])
    return {"indices": indices, "quant": quant, "recon": recon, "recon_from_codes": recon, "codebook": model.quantizer.size}
