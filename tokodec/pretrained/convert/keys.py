"""Strict key maps: every tensor of a checkpoint goes somewhere or is known to be derived, and every parameter is filled once."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn

from tokodec.codecs.walked import WalkedCodec
from tokodec.errors import WeightsMismatch

Change = Callable[[Tensor, nn.Module], Tensor]
CodecT = TypeVar("CodecT", bound=WalkedCodec)


@dataclass(frozen=True, kw_only=True)
class KeyMap:
    """``renames``: patterns and replacements, all applied in order to every key. ``derived``: patterns of keys that say nothing new.

    ``changes``: by pattern of a key of ours, what is done to its tensor, which the model is handed too.
    """

    renames: Sequence[tuple[str, str]]
    derived: Sequence[str]
    changes: Mapping[str, Change] = field(default_factory=dict)

    def take(self, model: CodecT, checkpoint: Mapping[str, Tensor]) -> CodecT:
        """``model`` with the weights of a checkpoint, its tables made, ready to be used and saved. Raises WeightsMismatch."""
        model.load_state_dict({**model.state_dict(), **self.apply(checkpoint, model)})
        with torch.inference_mode():
            model.freeze([])
        return model.eval().requires_grad_(requires_grad=False)

    def apply(self, checkpoint: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
        """Tensors for ``model.load_state_dict``. Raises WeightsMismatch, listing what does not fit."""
        wanted = dict(model.named_parameters())
        found: dict[str, Tensor] = {}
        problems: list[str] = []
        for key, tensor in checkpoint.items():
            if any(re.search(pattern, key) for pattern in self.derived):
                continue
            name = self._renamed(key)
            if name not in wanted or name in found:
                problems.append(f"{'twice' if name in found else 'unexpected'} {key}")
                continue
            if not bool(torch.isfinite(tensor).all()):
                problems.append(f"{key} holds values that are no numbers")
            found[name] = self._changed(name, tensor, model)
            if found[name].shape != wanted[name].shape:
                problems.append(f"{key} is {tuple(tensor.shape)}, which makes {tuple(found[name].shape)}, not {tuple(wanted[name].shape)}")
        problems += [f"missing {name}" for name in wanted if name not in found]
        if problems:
            raise WeightsMismatch(f"the checkpoint does not fit: {'; '.join(problems[:8])}{' ...' if len(problems) > 8 else ''}")
        return found

    def _renamed(self, key: str) -> str:
        for pattern, replacement in self.renames:
            key = re.sub(pattern, replacement, key)
        return key

    def _changed(self, name: str, tensor: Tensor, model: nn.Module) -> Tensor:
        for pattern, change in self.changes.items():
            if re.search(pattern, name) and tensor.ndim:
                tensor = change(tensor, model)
        return tensor
