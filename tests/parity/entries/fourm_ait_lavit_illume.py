"""Entries of 4M, AiT, LaVIT and ILLUME+."""

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import torch
from parity import reference, ties
from parity.harness import Case, Found, filled, refilled
from torch import Tensor

from tokodec.nn.position import waves
from tokodec.pretrained.convert import ait, fourm, illume, lavit
from tokodec.tokenizers.lattice import lattice, sequence
from tokodec.zoo import create

INPUTS = {
    "4m CLIP-B16_8k features RandomState(7) (1,512,14,14)": ("fourm_clip_b16_8k", reference.drawn(7, (1, 512, 14, 14))),
    "4m DINOv2 global memcodes RandomState(8) (1,768,1,1)": ("fourm_dinov2_b14_global_8k_16", reference.drawn(8, (1, 768, 1, 1))),
    "4m rgb ViTB-ViTB_1k 224": ("fourm_rgb_1k", reference.picture(224)),
}

AIT = {
    "ait_depth": reference.picture(480, low=0, high=10, channels=1),  # metres
    "ait_insseg": reference.picture(64, channels=1),
}


@cache
def _encoded() -> Mapping[str, Tensor]:
    """What LaVIT's encoder makes of the picture, which is also what its decoders are given."""
    model = filled("lavit_low", lavit.NAMES, parts=("decoder.",))
    features = model.tower(reference.picture(224))
    chances = model.selector(features)
    keep = (chances[..., 0] > chances[..., 1]) | (torch.arange(256) % 3 == 0)
    merged = model.merger(features, keep.float())
    ids = model.quantizer.ids(model.head(merged))[keep]
    quant = model.quantizer.lookup(ids[None])[0]
    found = {"vit_feats": features, "pred_logprob": chances, "keep": keep.long(), "merged": merged, "ids": ids, "quant": quant}
    given = torch.ones(1, len(quant))
    return {**found, "out": model.decoder.condition(model.decoder(quant[None], given, (16, 16)), (16, 16))["prompt"]}


def _high(_recorded: Mapping[str, Any]) -> Found:
    quant = _encoded()["quant"][None]
    decoder = filled("lavit_high", lavit.NAMES, parts=("decoder.",)).decoder
    return decoder.condition(decoder(quant, torch.ones(quant.shape[:2]), (16, 16)), (16, 16))


LAVIT = {
    "lavit 224 keep=(p0>p1) or index%3==0": lambda _: _encoded(),
    "lavit decoder lowres": lambda _: _encoded(),
    "lavit decoder highres": _high,
}


def find(entry: str) -> Case | None:
    """The case of an entry."""
    if entry == "4m rgb_16k 224 (pos_emb keep sincos)":
        return Case(run=_divae, model="fourm_rgb_16k", deep=("unet_out_t500_noisy_is_x",))
    if entry in LAVIT:
        return Case(run=LAVIT[entry], model="lavit_high", deep=("vit_feats",))
    if entry == "illume+ dualvitok_fix256 256":
        return Case(run=_illume, model="illume_256", deep=("target",))
    if entry in AIT:
        return Case(run=partial(_ait, entry), model=entry)
    found = INPUTS.get(entry)
    return Case(run=partial(_run, *found), model=found[0], deep=("recon",)) if found else None


def formed(name: str) -> Any:
    """A model of the zoo with weights by formula, but for its tables of positions."""
    model = filled(name, fourm.names_of(create(name)))
    for own, parameter in model.named_parameters():
        if own.endswith(".positions"):
            parameter.data.copy_(waves(parameter.shape[3], parameter.shape[1]))
    return model


def _run(name: str, x: Tensor, _recorded: Mapping[str, Any]) -> Found:
    model = formed(name)
    z = model.latents(x)
    ids = model.quantizer.ids(sequence(z))
    quant = lattice(model.quantizer.lookup(ids), z.shape[2:])
    # Several ids of a place stand before the lattice there.
    tokens = ids.movedim(-1, 1) if ids.ndim == 3 else ids
    return {"tokens": tokens.unflatten(-1, z.shape[2:]), "quant": quant, "recon": model.reconstruct(quant)}


def _divae(_recorded: Mapping[str, Any]) -> Found:
    """The decoder once, with the picture itself in place of noise."""
    x, model = reference.picture(224), formed("fourm_rgb_16k")
    z = model.latents(x)
    ids = model.quantizer.ids(sequence(z))
    quant = lattice(model.quantizer.lookup(ids), z.shape[2:])
    found = model.predicted(x, torch.tensor([500]), quant)
    return {"tokens": ids.unflatten(-1, z.shape[2:]), "quant": quant, "unet_out_t500_noisy_is_x": found, "codes_lookup": quant}


def _ait(name: str, _recorded: Mapping[str, Any]) -> Found:
    model = filled(name, ait.NAMES)
    z = model.latents(AIT[name])
    ids = model.quantizer.ids(sequence(z))
    recon = model.reconstruct(lattice(model.quantizer.lookup(ids), z.shape[2:]))
    return {"tokens": ids.unflatten(-1, z.shape[2:]), "recon": recon}


def _illume(recorded: Mapping[str, Any]) -> Found:
    with torch.device("meta"):
        bare: Any = create("illume_256")
    # Numbers are made once only: there are 1.35 thousand millions.
    model = refilled(bare.to_empty(device="cpu"), illume.names_of(bare))
    x = reference.picture(model.config.side)
    seen = model.seen(x)
    z = model.vectors(x, seen)
    found: dict[str, Any] = {"target": lattice(seen, (9, 9))}
    quant: dict[str, Tensor] = {}
    for (kind, book), short, side in zip(model.books.items(), ("sem", "pix"), (9, 16), strict=True):
        ids = ties.settled(book, z[kind], book.ids(z[kind]), recorded[f"{short}_idx"])
        quant[kind] = book.lookup(ids)
        found |= {f"{short}_idx": ids.unflatten(1, (side, side)), f"quant_{short}": lattice(quant[kind], (side, side))}
    found["sem_recon"] = lattice(model.decoder_semantic(quant["semantic"]), (9, 9))
    return {**found, "recon": model.reconstruct(**quant)}
