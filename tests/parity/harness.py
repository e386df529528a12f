"""What turns the name of a recorded entry into a model of ours, its input, and the tensors to compare."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from parity import reference
from torch import Tensor

from tokodec.pretrained.convert.names import Names
from tokodec.tokenizers.lattice import LatticeTokenizer, lattice, sequence
from tokodec.zoo import MODELS, create

SUFFIX = ".golden.json"
NEAR, FAR = 1e-4, 1e-3
LARGE = 30_000_000
"""Parameters: entries of models with more are slow."""
Found = Mapping[str, Tensor | float | int]


@dataclass(frozen=True, kw_only=True)
class Case:
    """``run`` gives every tensor that is recorded. ``deep`` are those behind more than 30 layers. ``model``: a name of the zoo."""

    run: Callable[[], Found]
    model: str = ""
    deep: tuple[str, ...] = ()
    ids: Mapping[str, str] = field(default_factory=dict)
    """By name of ids, the tensor that they were chosen from."""

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
        found = case.run()
    wrong = [f"{name} is not computed" for name in recorded.keys() - found.keys()]
    for name in recorded.keys() & found.keys():
        wrong += [f"{name}: {line}" for line in _differences(case, name, recorded[name], found[name])]
    return sorted(wrong)


def _differences(case: Case, name: str, recorded: Any, found: Tensor | float) -> list[str]:
    tolerance = FAR if name in case.deep else NEAR
    if isinstance(recorded, Mapping):
        return reference.differences(recorded, reference.digest(torch.as_tensor(found)), tolerance)
    if isinstance(recorded, int):
        return [] if recorded == found else [f"{recorded} recorded, {found} found"]
    return [] if abs(recorded - float(found)) <= tolerance * abs(recorded) else [f"{recorded} recorded, {float(found)} found"]


def filled(name: str, names: Names, *, parts: Sequence[str] = ()) -> Any:
    """A model of the zoo with weights by formula. ``parts``: modules of the authors whose keys count without their name."""
    with torch.device("meta"):
        model = create(name)
    model = model.to_empty(device="cpu")
    fresh = create(name, {}) if any(True for _ in model.buffers()) else None
    if fresh is not None:
        model = fresh
    for own, parameter in model.named_parameters():
        key = names.upstream(own)
        part = next((p for p in parts if key.startswith(p)), "")
        parameter.data.copy_(reference.weight(key.removeprefix(part), _shape(parameter)).view(parameter.shape))
    return model.eval().requires_grad_(requires_grad=False)


def lattice_figures(model: LatticeTokenizer, x: Tensor) -> dict[str, Tensor]:
    """What is recorded of most tokenizers: ``x`` in their native range."""
    z = model.latents(x)
    ids = model.quantizer.ids(sequence(z))
    quant = lattice(model.quantizer.lookup(ids), z.shape[2:])
    return {"pre_quant": z, "indices": ids.flatten(), "quant": quant, "recon": model.reconstruct(quant), "recon_from_codes": model.reconstruct(quant)}


def _shape(parameter: Tensor) -> tuple[int, ...]:
    return tuple(parameter.shape)


def _parameters(name: str) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in MODELS[name].create({}).parameters())
