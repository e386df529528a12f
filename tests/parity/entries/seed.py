"""The entry of SEED, whose input was not written down: it is the picture that most have, in [-1, 1]."""

from collections.abc import Mapping
from typing import Any

from parity import reference, ties
from parity.harness import Case, Found, filled

from tokodec.pretrained.convert import seed


def find(entry: str) -> Case | None:
    """The case of an entry."""
    return Case(run=_run, model="seed_2", deep=("vit_ln",)) if entry == "seed-tokenizer-2" else None


def _run(recorded: Mapping[str, Any]) -> Found:
    model = filled("seed_2", seed.NAMES)
    tower = model.tower(reference.picture(224))
    z = model.head(model.former(tower))
    ids = ties.settled(model.quantizer, z, model.quantizer.ids(z), recorded["indices"])
    codes = model.quantizer.lookup(ids)
    return {"vit_ln": tower, "indices": ids, "query_up": model.decoder.task(codes), "image_embed": model.decoder(codes)}
