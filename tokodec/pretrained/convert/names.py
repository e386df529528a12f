"""How the authors call what a model of ours has: strict, and readable in both directions.

A table names parameters of ours and gives their name upstream, so that a list of parameters is also the list of keys that a
checkpoint must have. What a checkpoint has beside (losses, averages of training, layers that are never used) must be listed to be
left out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from tokodec.errors import WeightsMismatch

ModelT = TypeVar("ModelT", bound=nn.Module)
_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class Names:
    """``renames``: patterns and replacements, all applied in order to every name of ours. ``ignored``: patterns of keys of theirs.

    ``prefix``: keys of a checkpoint that do not start with it are ignored, and those that do are known without it.
    """

    renames: Sequence[tuple[str, str]]
    ignored: Sequence[str] = ()
    prefix: str = ""

    def upstream(self, name: str) -> str:
        """What the authors call our parameter ``name``."""
        for pattern, replacement in self.renames:
            name = re.sub(pattern, replacement, name)
        return name

    def fill(self, model: ModelT, checkpoint: Mapping[str, Tensor]) -> ModelT:
        """``model`` with the weights of a checkpoint, in eval mode. Raises WeightsMismatch, listing what does not fit."""
        found = self.apply(model, checkpoint)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(found[name])
        return model.eval().requires_grad_(requires_grad=False)

    def apply(self, model: nn.Module, checkpoint: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors by our names, in our shapes, which differ from theirs at most by axes of length 1. Raises WeightsMismatch."""
        theirs = {key.removeprefix(self.prefix): t for key, t in checkpoint.items() if key.startswith(self.prefix)}
        theirs = {key: t for key, t in theirs.items() if not any(re.search(pattern, key) for pattern in self.ignored)}
        wanted = {self.upstream(name): (name, p) for name, p in model.named_parameters()}
        problems = [f"unexpected {key}" for key in theirs if key not in wanted]
        problems += [f"missing {key}" for key in wanted if key not in theirs]
        found: dict[str, Tensor] = {}
        for key in theirs.keys() & wanted.keys():
            (name, parameter), tensor = wanted[key], theirs[key]
            if _sides(tensor) != _sides(parameter):
                problems.append(f"{key} is {tuple(tensor.shape)}, not {tuple(parameter.shape)}")
            elif not _finite(tensor):
                problems.append(f"{key} holds values that are no numbers")
            else:
                found[name] = tensor.reshape(parameter.shape)
        if problems:
            more = f" ... {len(problems)} in all" if len(problems) > _SHOWN else ""
            raise WeightsMismatch(f"the checkpoint does not fit: {'; '.join(sorted(problems)[:_SHOWN])}{more}")
        return found


def averaged(checkpoint: Mapping[str, Tensor], prefix: str = "model_ema.") -> dict[str, Tensor]:
    """The moving averages in a checkpoint of Lightning in place of the weights they are of, where it has some.

    There an average is called like its weight, without dots.
    """
    plain = {key: t for key, t in checkpoint.items() if not key.startswith(prefix)}
    return {key: checkpoint.get(prefix + key.replace(".", ""), t) for key, t in plain.items()}


def _finite(tensor: Tensor) -> bool:
    """Whether all values are numbers, by the least and the largest, without a tensor of answers; repeated ones are looked at once."""
    once = tensor[tuple(slice(0, 1) if step == 0 else slice(None) for step in tensor.stride())]
    return not once.numel() or all(bool(end.isfinite()) for end in torch.aminmax(once))


def _sides(tensor: Tensor) -> list[int]:
    return [n for n in tensor.shape if n != 1]
