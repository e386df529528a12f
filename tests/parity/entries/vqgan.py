"""Entries of taming-transformers, latent-diffusion and LlamaGen."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from parity import reference
from parity.harness import Case, Found, filled, lattice_figures

from tokodec.pretrained.convert.vqgan import names_of
from tokodec.quantizers.base import distance
from tokodec.tokenizers.lattice import sequence
from tokodec.zoo import create

NAMES = {
    "llamagen VQ-16 256": "llamagen_vq16",
    "llamagen VQ-8 256": "llamagen_vq8",
    "taming vqgan_imagenet_f16_1024 256": "vqgan_f16_1024",
    "taming vqgan_imagenet_f16_16384 256": "vqgan_f16_16384",
}


def find(entry: str) -> Case | None:
    """The case of an entry."""
    name = NAMES.get(entry)
    return Case(run=partial(_run, name), model=name, deep=("recon", "recon_from_codes")) if name else None


def _run(name: str, recorded: Mapping[str, Any]) -> Found:
    model = filled(name, names_of(create(name)))
    found = lattice_figures(model, reference.picture(256), recorded)
    z, codes = (sequence(found[k]) for k in ("pre_quant", "quant"))
    # The loss that its authors call legacy: a quarter on the codes' side.
    return {**found, "quant_loss": float(distance(z, codes)) * 1.25}
