"""Generalised divisive normalisation and its inverse."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.bound import lower_bound

_PEDESTAL = 2.0**-36
_BETA_MIN = 1e-6
_GAMMA_START = 0.1


class GDN(nn.Module):
    """``x_i / sqrt(beta_i + sum_j gamma_ij x_j^2)``.

    ``beta`` and ``gamma`` are stored as square roots, which keeps them positive and their gradients small where they are.
    Source: Ballé, Laparra and Simoncelli, "Density modeling of images using a generalized normalization transformation",
    ICLR 2016; parametrised as in TensorFlow Compression and CompressAI (``compressai/layers/gdn.py``).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.beta = nn.Parameter((torch.ones(channels) + _PEDESTAL).sqrt())
        self.gamma = nn.Parameter((_GAMMA_START * torch.eye(channels) + _PEDESTAL).sqrt())

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        energy = self._energy(x)
        return x * energy.rsqrt() if torch.is_grad_enabled() else energy.rsqrt_().mul_(x)

    def _energy(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        beta = lower_bound(self.beta, (_BETA_MIN + _PEDESTAL) ** 0.5).square() - _PEDESTAL
        gamma = lower_bound(self.gamma, _PEDESTAL**0.5).square() - _PEDESTAL
        return F.conv2d(x * x, gamma[..., None, None], beta)


class IGDN(GDN):
    """The approximate inverse: ``x_i * sqrt(beta_i + sum_j gamma_ij x_j^2)``."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        energy = self._energy(x)
        return x * energy.sqrt() if torch.is_grad_enabled() else energy.sqrt_().mul_(x)
