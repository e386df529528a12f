"""Entries of TokenFlow."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from parity import reference
from parity.harness import Case, Found, filled

from tokodec.pretrained.convert.tokenflow import names_of
from tokodec.zoo import create

NAMES = {
    "clipb 224": "tokenflow_clipb_224",
    "clipb_enh 256": "tokenflow_clipb_256",
    "siglip 384": "tokenflow_siglip_384",
}
DEEP = ("sem_recon", "recon", "recon_from_codes")


def find(entry: str) -> Case | None:
    """The case of an entry."""
    name = NAMES.get(entry)
    return Case(run=partial(_run, name), model=name, deep=DEEP) if name else None


def _run(name: str, _recorded: Mapping[str, Any]) -> Found:
    with torch.device("meta"):
        names = names_of(create(name))  # type: ignore[arg-type]
    model = filled(name, names)
    ids = model.pyramid.ids(model.latents(reference.picture(model.config.side)))
    quant = model.pyramid.lookup(ids)
    recon = model.reconstruct(quant)
    return {
        "indices": ids,
        "quant": quant,
        "sem_recon": model.said(quant),
        "recon": recon,
        "recon_from_codes": recon,
        "scales": list(model.config.scales),
    }
