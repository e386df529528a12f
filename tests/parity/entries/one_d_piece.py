"""Entries of One-D-Piece, with pictures of rows of several lengths. Pictures are in [0, 1]."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from parity import reference, ties
from parity.entries.titok import upright
from parity.harness import Case, Found, filled

from tokodec.pretrained.convert import titok
from tokodec.zoo import create

NAMES = {f"one-d-piece_{size}256": f"one_d_piece_{size}256" for size in "sbl"}
LENGTHS = (256, 64, 1)


def find(entry: str) -> Case | None:
    """The case of an entry."""
    name = NAMES.get(entry)
    return Case(run=partial(_run, name), model=name, deep=tuple(f"recon_k{k}" for k in LENGTHS)) if name else None


def _run(name: str, recorded: Mapping[str, Any]) -> Found:
    model: Any = filled(name, titok.proxy_names(create(name)))
    z = model.latents(reference.picture(256, low=0))
    ids = ties.settled(model.quantizer, z, model.quantizer.ids(z), recorded["indices"])
    quant = model.quantizer.lookup(ids)
    return {
        "quant": upright(quant),
        "indices": ids[:, None],
        **{f"recon_k{k}": model.drawn(model.quantizer.lookup(ids[:, :k]))[0] for k in LENGTHS},
    }
