"""Entries of ELM's binary autoencoders."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from parity import reference
from parity.harness import Case, Found, filled

from tokodec.pretrained.convert.bae import names_of
from tokodec.tokenizers.lattice import lattice, sequence
from tokodec.zoo import MODELS, create


def find(entry: str) -> Case | None:
    """The case of an entry."""
    match = re.match(r"(bae_\d+) deterministic 256", entry)
    if match and match[1] in MODELS:
        return Case(run=partial(_run, match[1]), model=match[1], deep=("probs", "recon"))
    return None


def _run(name: str, _recorded: Mapping[str, Any]) -> Found:
    model = filled(name, names_of(create(name)))
    # Their range is [0, 1]; the figures were made with this one.
    z = model.latents(reference.picture(256))
    ids = model.quantizer.ids(sequence(z))
    quant = lattice(model.quantizer.lookup(ids), z.shape[2:])
    bits = lattice(model.quantizer.bits(sequence(z)).long(), z.shape[2:])
    return {"probs": z.sigmoid(), "bits": bits, "ids_two_subcodes": ids, "quant": quant, "recon": model.reconstruct(quant)}
