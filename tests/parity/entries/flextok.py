"""Entries of FlexTok: its quantizer, and the towers of the smallest model without the KL autoencoder.

Nobody wrote down what went into the towers. It was found by trying: latents of RandomState(11), noise of RandomState(12), waves as built.
"""

from collections.abc import Mapping
from typing import Any

import torch
from parity import reference, ties
from parity.harness import Case, Found
from torch import Tensor, nn

from tokodec.pretrained.convert.flextok import NAMES
from tokodec.quantizers.fsq import FiniteScalarQuantizer
from tokodec.zoo import create

MODEL = "flextok_d12_d12"
LENGTHS = (256, 32, 1)
DEEP = tuple(f"velocity_k{k}" for k in (256, "256_null", 32, 1))


def find(entry: str) -> Case | None:
    """The case of an entry."""
    if entry.startswith("FSQ"):
        levels = tuple(int(n) for n in entry.removeprefix("FSQ ").split(","))
        return Case(run=lambda _recorded: _quantizer(levels))
    return Case(run=_towers, model=MODEL, deep=DEEP) if entry.startswith("d12-d12 full") else None


def _quantizer(levels: tuple[int, ...]) -> Found:
    quantizer, z = FiniteScalarQuantizer(levels), 2 * reference.drawn(9, (1, 32, 6))
    ids = quantizer.ids(z)
    return {"z": z, "tokens": ids, "quants": quantizer(z).z, "back": quantizer.lookup(ids)}


def _towers(recorded: Mapping[str, Any]) -> Found:
    model: Any = create(MODEL).eval()
    _fill(model.encoder, "encoder.")
    z = model.encoder(reference.drawn(11, (1, 16, 32, 32)))
    ids = ties.settled(model.quantizer, z, model.quantizer.ids(z), recorded["tokens"])
    quants = model.quantizer.lookup(ids)
    _fill(model.decoder, "decoder.")
    return {"latents": z, "tokens": ids, "quants": quants, **_velocities(model.decoder, quants)}


def _velocities(decoder: Any, quants: Tensor) -> dict[str, Tensor]:
    noisy, time = reference.drawn(12, (1, 16, 32, 32)), torch.tensor([0.25])
    known = {f"velocity_k{k}": decoder(noisy, time, decoder.told(quants[:, :k])) for k in LENGTHS}
    return {**known, "velocity_k256_null": decoder(noisy, time, decoder.untold(1))}


def _fill(part: nn.Module, prefix: str) -> None:
    """With weights by formula, whose size depends on the first axis: positions have two more of length 1 upstream."""
    for own, parameter in part.named_parameters():
        if own.endswith("waves"):
            continue
        shape = (1, 1, *parameter.shape) if own == "positions" else tuple(parameter.shape)
        parameter.data.copy_(reference.weight(NAMES.upstream(prefix + own), shape).view(parameter.shape))
