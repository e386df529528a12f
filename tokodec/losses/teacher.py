"""Networks of others whose features a tokenizer is to tell: frozen, from a file that the recipe names, nothing fetched.

``timm:NAME`` is an architecture of timm whose weights are in ``file``; ``transformers:NAME`` a vision model of transformers whose
folder (``config.json`` and ``model.safetensors``) is ``file``, NAME being its class; ``stored`` looks features up that were computed
before, see :mod:`tokodec.losses.stored`. A new kind adds its name to ``KINDS``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.checkpoint import read_checkpoint
from tokodec.errors import InputError, MissingExtra
from tokodec.losses.stored import StoredTeacher
from tokodec.losses.verified import verified

Pictures = Float[Tensor, "b 3 h w"]
_PLACES = 16
_CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""Mean and deviation that vision models of transformers expect unless their processor says otherwise."""


@dataclass(frozen=True, kw_only=True)
class Teaching:
    """Which network. ``side``: of the pictures that it is shown, 0 for its own; ``interpolation`` as ``torch`` names it. Of stored features
    ``side`` is the number of places on a side of a crop, 0 for 16.

    ``sha256``: of the file with the weights.
    """

    teacher: str
    file: str
    sha256: str
    side: int = 0
    interpolation: str = "bicubic"


class NetworkTeacher(nn.Module):
    """Pictures in [0, 1], any size, to the vector of the class token and those of all places: (b, 1 + n, c)."""

    shift: Tensor
    scale: Tensor

    def __init__(
        self, tokens: Callable[[Pictures], Tensor], net: nn.Module, side: int, interpolation: str, mean: Any, deviation: Any
    ) -> None:
        super().__init__()
        self.tokens, self.net, self.side, self.interpolation = tokens, net, side, interpolation
        self.register_buffer("shift", torch.tensor(mean)[:, None, None])
        self.register_buffer("scale", torch.tensor(deviation)[:, None, None])

    @torch.no_grad()
    def forward(self, x: Pictures, aux: Mapping[str, Tensor]) -> Float[Tensor, "b n c"]:
        with torch.autocast(x.device.type, enabled=False):
            shown = F.interpolate(x.float(), (self.side, self.side), mode=self.interpolation)
            return self.tokens((shown - self.shift) / self.scale)


@runtime_checkable
class Teacher(Protocol):
    """What is said of crops: of their pixels, or of where they were cut, ``picture`` and ``window`` of ``aux``, as a batch has them."""

    def __call__(self, x: Pictures, aux: Mapping[str, Tensor]) -> Float[Tensor, "b n c"]:
        """The vector of the class token and those of all places, row by row. Raises InputError."""
        ...


@cache
def teacher_on(teaching: Teaching, device: torch.device) -> Teacher:
    """The network of a recipe, ready. Raises InputError for files that are not those that the recipe means, MissingExtra."""
    kind, _, name = teaching.teacher.partition(":")
    if kind not in KINDS:
        raise InputError(f"there is no kind of teacher {kind!r}; there are {', '.join(KINDS)}")
    return KINDS[kind](name, teaching).to(device).eval().requires_grad_(requires_grad=False)


def _stored(_: str, teaching: Teaching) -> StoredTeacher:
    return StoredTeacher(verified(teaching.file, teaching.sha256), teaching.side or _PLACES)


def _timm(name: str, teaching: Teaching) -> NetworkTeacher:
    try:
        import timm  # noqa: PLC0415  an extra
    except ImportError:
        raise MissingExtra("a teacher of timm", "teachers") from None
    if not timm.is_model(name):
        raise InputError(f"timm has no model {name!r}")
    size: dict[str, Any] = {"img_size": teaching.side} if teaching.side else {}
    try:
        net: Any = timm.create_model(name, pretrained=False, num_classes=0, **size)
    except TypeError:
        raise InputError(f"{name} of timm takes pictures of any size or of one: say side = 0") from None
    before = getattr(net, "num_prefix_tokens", 0)
    if not before:
        raise InputError(f"{name} of timm has no class token: its features cannot be distilled")
    _filled(net, read_checkpoint(verified(teaching.file, teaching.sha256)), teaching.file)

    def tokens(x: Pictures) -> Tensor:
        found = net.forward_features(x)
        return torch.cat([found[:, :1], found[:, before:]], 1)  # without registers

    told = net.pretrained_cfg
    return NetworkTeacher(tokens, net, teaching.side or told["input_size"][-1], teaching.interpolation, told["mean"], told["std"])


def _transformers(name: str, teaching: Teaching) -> NetworkTeacher:
    try:
        import transformers  # noqa: PLC0415  an extra
    except ImportError:
        raise MissingExtra("a teacher of transformers", "teachers") from None
    build: Any = getattr(transformers, name, None)
    if not hasattr(build, "from_pretrained"):
        raise InputError(f"transformers has no model {name!r}")
    folder = Path(teaching.file)
    verified(folder / "model.safetensors", teaching.sha256)
    net = build.from_pretrained(folder, local_files_only=True)

    def tokens(x: Pictures) -> Tensor:
        return net(pixel_values=x).last_hidden_state

    return NetworkTeacher(tokens, net, teaching.side or net.config.image_size, teaching.interpolation, *_CLIP)


KINDS: Mapping[str, Callable[[str, Teaching], nn.Module]] = {"timm": _timm, "transformers": _transformers, "stored": _stored}


def _filled(net: nn.Module, tensors: Mapping[str, Tensor], file: str) -> None:
    """All that the network has must be in the file; heads of classes that it has beside do not count."""
    wanted = net.state_dict()
    unfit = [name for name, t in wanted.items() if name not in tensors or tensors[name].shape != t.shape]
    if unfit:
        raise InputError(f"{file} does not hold that network: it lacks {', '.join(unfit[:4])} of its shape")
    net.load_state_dict({name: tensors[name] for name in wanted})
