"""Measures by trained networks: LPIPS, DISTS, and the features of FID and KID. Real weights, or no number."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from tokodec.api import Output
from tokodec.checkpoint import read_checkpoint
from tokodec.errors import InputError
from tokodec.eval.measure import Case, Observation
from tokodec.eval.weights import ALEXNET, DISTS_HEADS, INCEPTION, LPIPS_ALEX, LPIPS_VGG, VGG16, Weight
from tokodec.losses.perceptual import LPIPS, LPIPSVGG, LPIPSAlex
from tokodec.metrics.dists import CHANNELS, DISTS
from tokodec.metrics.inception import FIDInception
from tokodec.metrics.structure import Comparison

ALEX_MIN_SIDE, VGG_MIN_SIDE = 32, 16
_ORIGINAL, _DECODED = "original", "decoded"


def lpips_alex(pictures: Comparison) -> float:
    """On AlexNet; from 0, for equal pictures. Both sides are at least ALEX_MIN_SIDE. Raises ModelNotFound."""
    return _lpips(_recipe(LPIPSAlex, ALEXNET, LPIPS_ALEX), pictures)


def lpips_vgg(pictures: Comparison) -> float:
    """On VGG-16, the same. Both sides are at least VGG_MIN_SIDE."""
    return _lpips(_recipe(LPIPSVGG, VGG16, LPIPS_VGG), pictures)


def dists(pictures: Comparison) -> float:
    """From 0, for equal pictures. Raises ModelNotFound."""
    with torch.inference_mode():
        return float(_dists()(*pictures.units))


def inception_features(case: Case) -> Observation:
    """Of the original and of the decoded picture. Raises ModelNotFound."""
    with torch.inference_mode():
        original, decoded = (_inception()(units)[0].numpy() for units in case.pictures.units)
    return {_ORIGINAL: original, _DECODED: decoded}


def between(distance: Callable[[np.ndarray, np.ndarray], float]) -> Callable[[Sequence[Observation]], float | None]:
    """``distance`` between the features of originals and decoded pictures; of a single picture there is none."""

    def combine(found: Sequence[Observation]) -> float | None:
        if len(found) < 2:
            return None
        return distance(np.stack([f[_ORIGINAL] for f in found]), np.stack([f[_DECODED] for f in found]))

    return combine


@cache
def _recipe(kind: type[LPIPS], network: Weight, linear: Weight) -> LPIPS:
    return kind(network=str(network.path()), network_sha256=network.sha256, linear=str(linear.path()), linear_sha256=linear.sha256)


def _lpips(recipe: LPIPS, pictures: Comparison) -> float:
    original, decoded = pictures.units
    with torch.inference_mode():
        return float(recipe(original, torch.ones(1), Output(pixels=decoded, terms={})))


@cache
def _dists() -> DISTS:
    from torchvision.models import vgg16  # noqa: PLC0415  slow to import

    layers = vgg16(weights=None).features
    assert isinstance(layers, nn.Sequential)
    found = read_checkpoint(VGG16.path())
    layers.load_state_dict({name.removeprefix("features."): t for name, t in found.items() if name.startswith("features.")})
    heads = read_checkpoint(DISTS_HEADS.path())
    alpha, beta = _heads(heads)
    return DISTS(layers, alpha, beta).eval().requires_grad_(requires_grad=False)


def _heads(found: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    if not {"alpha", "beta"} <= found.keys() or any(found[name].numel() != sum(CHANNELS) for name in ("alpha", "beta")):
        raise InputError(f"the weights of DISTS hold {', '.join(found)}, not alpha and beta of {sum(CHANNELS)} channels")
    return found["alpha"].detach().flatten(), found["beta"].detach().flatten()


@cache
def _inception() -> FIDInception:
    return FIDInception(read_checkpoint(INCEPTION.path())).eval().requires_grad_(requires_grad=False)
