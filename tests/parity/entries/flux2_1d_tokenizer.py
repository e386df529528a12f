"""Entries of the 1D tokenizer of FLUX.2's latents."""

from collections.abc import Mapping
from typing import Any

from parity import reference, ties
from parity.harness import Case, Found, filled

from tokodec.pretrained.convert.flux2_1d import NAMES

MODEL = "flux2_1d_sharp"
LENGTHS = (1024, 256, 1)
UNSCALED = ("encoder.queries", "decoder.positions", "decoder.mask")


def find(entry: str) -> Case | None:
    """The case of an entry."""
    return Case(run=_run, model=MODEL, deep=tuple(f"latent_k{k}" for k in LENGTHS)) if entry.startswith("core 32x32") else None


def _run(recorded: Mapping[str, Any]) -> Found:
    model: Any = filled(MODEL, NAMES)
    own = dict(model.named_parameters())
    for name in UNSCALED:
        own[name].data.copy_(reference.drawn(reference.seed(NAMES.upstream(name)), own[name].shape))
    x = reference.drawn(3, (1, 32, 32, 32))
    z = model.latents(x)
    ids = ties.settled(model.quantizer, z, model.quantizer.ids(z), recorded["indices"])
    maps = {f"latent_k{k}": model.drawn(model.quantizer.lookup(ids[:, :k]), size=(32, 32))[0] for k in LENGTHS}
    return {"latent_in": x, "encoder_out": model.encoder.features(x), "indices": ids, **maps}
