"""Entries of DualToken."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from parity import reference, ties
from parity.harness import Case, Found, filled

from tokodec.pretrained.convert import dualtoken
from tokodec.quantizers.base import distance
from tokodec.tokenizers.lattice import lattice, sequence
from tokodec.zoo import create

NAMES = {"model_config_siglip_256_rvq4": "dualtoken_256_rvq4", "model_config_siglip_384_rvq8": "dualtoken_384_rvq8"}
KINDS = {"sem": "semantic", "pix": "pixel"}


def find(entry: str) -> Case | None:
    """The case of an entry."""
    name = NAMES.get(entry)
    return Case(run=partial(_run, name), model=name, deep=("recon",)) if name else None


def _run(name: str, recorded: Mapping[str, Any]) -> Found:
    model: Any = filled(name, dualtoken.names_of(create(name)))
    side = model.config.places
    z = sequence(model.latents(reference.picture(model.config.side))).split(model.config.dim, -1)
    found: dict[str, Any] = {}
    quant: dict[str, Any] = {}
    for (short, kind), vectors in zip(KINDS.items(), z, strict=True):
        quantizer = model.quantizer.parts[kind]
        ids = ties.settled(quantizer, vectors, quantizer.ids(vectors), recorded[f"code_{short}"])
        sums = [quantizer.lookup(ids[..., : n + 1]) for n in range(ids.shape[-1])]
        found |= {f"code_{short}": ids.unflatten(1, (side, side))}
        found |= {f"ql_{short}": sum(float(distance(vectors, s)) for s in sums) / len(sums)}
        quant[kind] = sums[-1]
    zq = model.post_quant_semantic(quant["semantic"])
    recon = model.reconstruct(lattice(torch.cat(list(quant.values()), -1), (side, side)))
    return {**found, "zq_sem": zq, "pooler": model.post_quant_tail(zq), "recon": recon}
