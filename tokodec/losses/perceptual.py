"""LPIPS: distances of the features of a network that was trained to classify, weighed as people see them.

No weights come with the package and none are fetched: a recipe names two files and their SHA-256, the network's (torchvision's
``vgg16-397923af.pth`` or ``alexnet-owt-7be5be79.pth``) and the five linear layers' (``vgg.pth`` or ``alex.pth`` of LPIPS 0.1).
Source: Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric", CVPR 2018 (richzhang/PerceptualSimilarity).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.api import Output, Pixels
from tokodec.checkpoint import read_checkpoint
from tokodec.errors import InputError
from tokodec.losses.verified import verified

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""The mean and deviation of ImageNet, for pictures in [-1, 1]."""


class Features(nn.Module):
    """Convolutions one after the other; ``cuts``: after which of them features are taken."""

    def __init__(self, layers: nn.Sequential, cuts: tuple[int, ...]) -> None:
        super().__init__()
        self.layers, self.cuts = layers, cuts

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b c h2 w2"]]:
        found: list[Tensor] = []
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i in self.cuts:
                found.append(x)
        return found


class LPIPSNetwork(nn.Module):
    """The distance of pictures in [0, 1]: (b,)."""

    def __init__(self, features: Features, weights: list[Tensor]) -> None:
        super().__init__()
        self.features = features
        for i, weight in enumerate(weights):
            self.register_buffer(f"weight{i}", weight)
        self.register_buffer("shift", torch.tensor(_SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(_SCALE)[:, None, None])

    def forward(self, a: Float[Tensor, "b 3 h w"], b: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
        both = (torch.cat([a, b]) * 2 - 1 - self.get_buffer("shift")) / self.get_buffer("scale")
        total = a.new_zeros(len(a), dtype=torch.float32)
        for i, features in enumerate(self.features(both)):
            one, other = (f / (f.square().sum(1, keepdim=True).sqrt() + 1e-10) for f in features.float().chunk(2))
            weighed = (one - other).square() * self.get_buffer(f"weight{i}")[:, None, None]
            total = total + weighed.sum(1).flatten(1).mean(1)
        return total


@dataclass(frozen=True, kw_only=True)
class LPIPS:
    """``network``: the file of the classifier; ``linear``: that of the linear layers; with the SHA-256 of each."""

    network: str
    network_sha256: str
    linear: str
    linear_sha256: str

    def __call__(self, x: Pixels, quality: Float[Tensor, " b"], output: Output) -> Float[Tensor, " b"]:
        """The loss of each item. Raises InputError for files that are not those that the recipe means."""
        assert output.pixels is not None
        return _on(self, x.device)(x, output.pixels)

    def blank(self) -> tuple[nn.Sequential, tuple[int, ...]]:
        """The classifier's convolutions, and after which of them features are taken."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class LPIPSVGG(LPIPS):
    """On VGG-16."""

    def blank(self) -> tuple[nn.Sequential, tuple[int, ...]]:
        from torchvision.models import vgg16  # noqa: PLC0415  slow to import, and few recipes need it

        layers = vgg16(weights=None).features
        assert isinstance(layers, nn.Sequential)
        return layers, (3, 8, 15, 22, 29)


@dataclass(frozen=True, kw_only=True)
class LPIPSAlex(LPIPS):
    """On AlexNet."""

    def blank(self) -> tuple[nn.Sequential, tuple[int, ...]]:
        from torchvision.models import alexnet  # noqa: PLC0415  as above

        return alexnet(weights=None).features, (1, 4, 7, 9, 11)


@cache
def _on(recipe: LPIPS, device: torch.device) -> LPIPSNetwork:
    """The network of a recipe, ready."""
    layers, cuts = recipe.blank()
    for layer in layers:
        if isinstance(layer, nn.ReLU):
            layer.inplace = False  # features that were taken must stay as they are
    found = read_checkpoint(verified(recipe.network, recipe.network_sha256))
    _fill(layers, {name.removeprefix("features."): t for name, t in found.items() if name.startswith("features.")}, recipe.network)
    linear = read_checkpoint(verified(recipe.linear, recipe.linear_sha256))
    try:
        weights = [linear[f"lin{i}.model.1.weight"].flatten().float() for i in range(len(cuts))]
    except KeyError as error:
        raise InputError(f"{recipe.linear} has no {error}: it is no file of the linear layers of LPIPS 0.1") from None
    network = LPIPSNetwork(Features(layers[: cuts[-1] + 1], cuts), weights)
    return network.to(device).eval().requires_grad_(requires_grad=False)


def _fill(layers: nn.Module, tensors: Mapping[str, Tensor], file: str) -> None:
    try:
        layers.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise InputError(f"{file} does not hold that network: {str(error).splitlines()[-1].strip()}") from None
