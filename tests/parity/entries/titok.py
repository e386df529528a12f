"""Entries of TiTok and of the network it decodes through. Pictures are in [0, 1]."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from parity import reference, ties
from parity.harness import Case, Found, filled, lattice_figures
from torch import Tensor

from tokodec.pretrained.convert import titok
from tokodec.zoo import create

PROXY = ("titok_l32", "titok_b64", "titok_s128")
PIXELS = ("titok_bl64_vq8k", "titok_bl128_vq8k", "titok_sl256_vq8k")
VAE = ("titok_ll32_vae_c16", "titok_bl64_vae_c16", "titok_bl128_vae_c16")
DEEP = ("recon", "recon_from_mean")


def find(entry: str) -> Case | None:
    """The case of an entry."""
    if entry == "maskgit-vqgan":
        return Case(run=_maskgit, model="maskgit_vqgan", deep=DEEP)
    if entry in VAE:
        return Case(run=partial(_vae, entry), model=entry, deep=DEEP)
    if entry in (*PROXY, *PIXELS):
        return Case(run=partial(_run, entry), model=entry, deep=DEEP)
    return None


def _maskgit(recorded: Mapping[str, Any]) -> Found:
    model = filled("maskgit_vqgan", titok.maskgit_names(create("maskgit_vqgan")))
    found = lattice_figures(model, reference.picture(256, low=0), recorded)
    return {**found, "indices": found["indices"][None], "recon": found["recon"].clamp(0, 1)}


def _run(name: str, recorded: Mapping[str, Any]) -> Found:
    model: Any = filled(name, titok.proxy_names(create(name)) if name in PROXY else titok.NAMES)
    z = model.latents(reference.picture(256, low=0))
    ids = ties.settled(model.quantizer, z, model.quantizer.ids(z), recorded["indices"])
    quant = model.quantizer.lookup(ids)
    return {"encoder_out": upright(z), "quant": upright(quant), "indices": ids[:, None], "recon": model.drawn(quant)[0]}


def _vae(name: str, recorded: Mapping[str, Any]) -> Found:
    model: Any = filled(name, titok.NAMES)
    x = reference.picture(256, low=0)
    mean, log_variance = model.moments(x)
    return {
        "encoder_out": upright(model.encoder(x)),
        "mean": upright(mean),
        "std": upright((log_variance / 2).exp()),
        "recon_from_mean": model.decoder(mean),
    }


def upright(row: Tensor) -> Tensor:
    """Coordinates first, as the authors keep rows."""
    return row.transpose(1, 2)[:, :, None]
