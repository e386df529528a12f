"""Entries of quantizers alone: ``z`` is drawn as the entry's name says."""

import ast
import re
from collections.abc import Callable, Mapping

import torch.nn.functional as F
from parity import reference
from parity.harness import Case, Found
from torch import Tensor, nn

from tokodec.quantizers.base import Quantized
from tokodec.quantizers.codebook import (
    IndexBackpropagationQuantizer,
    NormalisedVectorQuantizer,
    SimVectorQuantizer,
    VectorQuantizer,
)
from tokodec.quantizers.cosine import CosineQuantizer
from tokodec.quantizers.entropy import SoftEntropy
from tokodec.quantizers.fsq import FiniteScalarQuantizer
from tokodec.quantizers.lfq import BinarySphericalQuantizer, LookupFreeQuantizer
from tokodec.quantizers.residual import ResidualQuantizer
from tokodec.tokenizers.lattice import lattice, sequence

_DRAWN = re.compile(r"RandomState\((\d+)\) (\([\d,]+\))")


def find(entry: str) -> Case | None:
    """The case of an entry."""
    match, run = _DRAWN.search(entry), next((run for start, run in RUNS.items() if entry.startswith(start)), None)
    if match is None or run is None:
        return None
    z = reference.drawn(int(match[1]), ast.literal_eval(match[2]))
    return Case(run=lambda _recorded: run(entry, z))


def _number(entry: str, name: str) -> int:
    found = re.search(rf"{name}=(\d+)", entry)
    assert found is not None
    return int(found[1])


def _codebook(entry: str, key: str = "embedding.weight") -> Tensor:
    return reference.weight(key, (_number(entry, "n"), _number(entry, "d")))


def _map(z: Tensor, quantized: Quantized) -> dict[str, Tensor]:
    return {"indices": quantized.ids.flatten(), "quant": lattice(quantized.z, z.shape[2:])}


def _term(quantized: Quantized, name: str) -> float:
    return float(quantized.terms[name].mean())


def _llamagen(entry: str, z: Tensor) -> Found:
    quantizer = NormalisedVectorQuantizer(_number(entry, "n"), _number(entry, "d"), SoftEntropy())
    quantizer.codebook.data.copy_(_codebook(entry))
    quantized = quantizer(sequence(z))
    entropy = 0.03 * (_term(quantized, "sample_entropy") - _term(quantized, "batch_entropy"))
    losses = {"vq_loss": _term(quantized, "codebook"), "commit": 0.25 * _term(quantized, "commitment"), "entropy_loss": entropy}
    return {**_map(z, quantized), **losses}


def _taming(entry: str, z: Tensor) -> Found:
    quantizer = VectorQuantizer(_number(entry, "n"), _number(entry, "d"))
    quantizer.codebook.data.copy_(_codebook(entry))
    quantized = quantizer(sequence(z))
    return {**_map(z, quantized), "loss_legacy": 0.25 * _term(quantized, "codebook") + _term(quantized, "commitment")}


def _ibq(entry: str, z: Tensor) -> Found:
    quantizer = IndexBackpropagationQuantizer(_number(entry, "n"), _number(entry, "d"), SoftEntropy())
    quantizer.codebook.data.copy_(_codebook(entry))
    quantized = quantizer(sequence(z))
    sample, batch = _term(quantized, "sample_entropy"), _term(quantized, "batch_entropy")
    loss = _term(quantized, "soft") + _term(quantized, "commitment") + 0.25 * _term(quantized, "codebook")
    entropies = {"sample_entropy": sample, "avg_entropy": batch, "entropy_loss": sample - batch}
    return {**_map(z, quantized), "quant_loss": loss, **entropies}


def _lfq(entry: str, z: Tensor) -> Found:
    quantized = LookupFreeQuantizer(z.shape[1])(sequence(z))
    sample, batch = _term(quantized, "sample_entropy"), _term(quantized, "batch_entropy")
    losses = {"entropy_aux": sample - batch, "per_sample": sample, "codebook": batch, "commit": _term(quantized, "commitment")}
    return {**_map(z, quantized), **losses}


def _bsq(entry: str, z: Tensor) -> Found:
    bits, group = (int(n) for n in re.findall(r"BSQ (\d+) bits group (\d+)", entry)[0])
    quantizer = BinarySphericalQuantizer(bits, entropy_group=1 if "analytical" in entry else group)
    quantized = quantizer(F.normalize(z, dim=-1))
    sample, batch = _term(quantized, "sample_entropy"), _term(quantized, "batch_entropy")
    loss = 0.25 * _term(quantized, "commitment") + sample - batch
    groups = BinarySphericalQuantizer(bits, groups=bits // group).numbered(z > 0)
    return {
        "indices": quantized.ids,
        "group_indices": groups,
        "quant": quantized.z,
        "loss": loss,
        "persample": sample,
        "codebook": batch,
    }


def _fsq(entry: str, z: Tensor) -> Found:
    levels = ast.literal_eval(entry[entry.index("[") : entry.index("]") + 1])
    quantizer, z = FiniteScalarQuantizer(levels), 2 * z
    ids = quantizer.ids(sequence(z))
    grid = z.shape[2:]
    return {
        "indices": ids.unflatten(1, grid),
        "codes": lattice(quantizer(sequence(z)).z, grid),
        "back": lattice(quantizer.lookup(ids), grid),
    }


def _rq(entry: str, z: Tensor) -> Found:
    shared = VectorQuantizer(_number(entry, "n"), _number(entry, "d"))
    shared.codebook.data.copy_(reference.weight("codebooks.3.weight", (65, _number(entry, "d")))[:-1])
    quantized = ResidualQuantizer([shared] * 4)(z.flatten(1, 2))
    grid = z.shape[1:3]
    codes, quant = quantized.ids.unflatten(1, grid), quantized.z.unflatten(1, grid)
    return {"codes": codes, "quant": quant, "commit": _term(quantized, "commitment")}


def _cosine(entry: str, z: Tensor) -> Found:
    quantizer = CosineQuantizer(_number(entry, "n"), _number(entry, "d"))
    quantizer.codebook.data.copy_(_codebook(entry, "_codebook.embed"))
    ids = quantizer.ids(sequence(z))
    quant = lattice(quantizer.lookup(ids), z.shape[2:])
    quantized = quantizer(sequence(z))
    return {
        "indices": ids.unflatten(1, z.shape[2:]),
        "quant_eval": quant,
        "train_loss": _term(quantized, "commitment"),
        "codebook_after_1_step": quantizer.codebook,
        "cluster_size_after": quantizer.cluster_size,
    }


def _sim(entry: str, z: Tensor) -> Found:
    quantizer = SimVectorQuantizer(_number(entry, "n"), _number(entry, "d"))
    quantizer.codebook.data.copy_(_codebook(entry, "frozen_codebook"))
    quantizer.transform.weight = nn.Parameter(reference.weight("code_transform.weight", (quantizer.dim, quantizer.dim)))
    quantized = quantizer(sequence(z))
    ids, quant = _map(z, quantized).values()
    commit = _term(quantized, "codebook") + 0.25 * _term(quantized, "commitment")
    return {"indices": ids.view(len(z), *z.shape[2:]), "quant": quant, "commit": commit}


RUNS: Mapping[str, Callable[[str, Tensor], Found]] = {
    "llamagen VQ": _llamagen,
    "taming VQ2 legacy": _taming,
    "IBQ": _ibq,
    "LFQ": _lfq,
    "BSQ": _bsq,
    "FSQ": _fsq,
    "RQ shared": _rq,
    "4M cosine VQ": _cosine,
    "SimVQ": _sim,
}
