"""Entries of ReTok, with pictures of rows of several lengths. All vectors are recorded, those of the second tail too."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from parity import reference, ties
from parity.entries.titok import upright
from parity.harness import Case, Found, filled

from tokodec.pretrained.convert import retok

NAMES = {"VQ_SB256": "retok_sb256", "VQ_SS256": "retok_ss256"}
LENGTHS = (256, 32, 1)


def find(entry: str) -> Case | None:
    """The case of an entry."""
    name = NAMES.get(entry)
    return Case(run=partial(_run, name), model=name, deep=tuple(f"recon_k{k}" for k in LENGTHS)) if name else None


def _run(name: str, recorded: Mapping[str, Any]) -> Found:
    model: Any = filled(name, retok.NAMES)
    z = model.vectors(model.to_native(reference.picture(256, low=0)))
    ids = ties.settled(model.quantizer, z, model.quantizer.ids(z), recorded["indices"])
    recon = {f"recon_k{k}": model.drawn(model.quantizer.lookup(ids[:, :k]))[0] for k in LENGTHS}
    return {"quant": upright(model.quantizer.lookup(ids)), "indices": ids, **recon}
