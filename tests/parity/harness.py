"""What turns the name of a recorded entry into a model of ours, its input, and the tensors to compare."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from parity import reference, ties
from torch import Tensor

from tokodec.pretrained.convert.names import Names
from tokodec.tokenizers.lattice import LatticeTokenizer, lattice, sequence
from tokodec.zoo import MODELS, create

SUFFIX = ".golden.json"
NEAR, FAR = 1e-4, 1e-3
LARGE = 30_000_000
"""Parameters: entries of models with more are slow."""
Found = Mapping[str, Tensor | float | int | list[int]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """``run`` gives every tensor that is recorded, and is shown what is recorded because of near-ties (:mod:`parity.ties`).

    ``deep`` are those behind more than 30 layers. ``model``: a name of the zoo.
    """

    run: Callable[[Mapping[str, Any]], Found]
    model: str = ""
    deep: tuple[str, ...] = ()

    @property
    def slow(self) -> bool:
        return bool(self.model) and _parameters(self.model) > LARGE


Finder = Callable[[str], Case | None]


def entries(folder: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """File, name and figures of every entry in a folder."""
    found: list[tuple[str, str, dict[str, Any]]] = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        recorded = json.loads(path.read_text(encoding="utf-8"))
        found += [(path.name.removesuffix(SUFFIX), name, figures) for name, figures in recorded.items() if isinstance(figures, dict)]
    return found


def compare(case: Case, recorded: Mapping[str, Any]) -> list[str]:
    """What differs, a line each; nothing for an entry that is reproduced."""
    with torch.inference_mode():
        found = case.run(recorded)
    wrong = [f"{name} is not computed" for name in recorded.keys() - found.keys()]
    for name in recorded.keys() & found.keys():
        wrong += [f"{name}: {line}" for line in _differences(case, name, recorded[name], found[name])]
    return sorted(wrong)


def _differences(case: Case, name: str, recorded: Any, found: Any) -> list[str]:
    tolerance = FAR if name in case.deep else NEAR
    if isinstance(recorded, Mapping):
        return reference.differences(recorded, reference.digest(torch.as_tensor(found)), tolerance)
    if isinstance(recorded, int | list):
        return [] if recorded == found else [f"{recorded} recorded, {found} found"]
    return [] if abs(recorded - float(found)) <= tolerance * abs(recorded) else [f"{recorded} recorded, {float(found)} found"]


def filled(name: str, names: Names, *, parts: Sequence[str] = ()) -> Any:
    """A model of the zoo with weights by formula. ``parts``: modules of the authors whose keys count without their name."""
    return refilled(create(name), names, parts=parts)


def refilled(model: Any, names: Names, *, parts: Sequence[str] = ()) -> Any:
    """That model with those weights."""
    for own, parameter in model.named_parameters():
        key = names.upstream(own)
        part = next((p for p in parts if key.startswith(p)), "")
        parameter.data.copy_(reference.weight(key.removeprefix(part), tuple(parameter.shape)))
    return model.eval().requires_grad_(requires_grad=False)


def lattice_figures(model: LatticeTokenizer, x: Tensor, recorded: Mapping[str, Any]) -> dict[str, Tensor]:
    """What is recorded of most tokenizers: ``x`` in their native range."""
    z = model.latents(x)
    ids = ties.settled(model.quantizer, sequence(z), model.quantizer.ids(sequence(z)), recorded["indices"])
    quant = lattice(model.quantizer.lookup(ids), z.shape[2:])
    recon = model.reconstruct(quant)
    return {"pre_quant": z, "indices": ids.flatten(), "quant": quant, "recon": recon, "recon_from_codes": recon}


def _parameters(name: str) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in MODELS[name].create({}).parameters())
