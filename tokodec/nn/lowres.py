"""Analysis and synthesis transforms that work at 1/8 resolution at once, beside a linear block transform.

    x (b,3,h,w) ─ unshuffle 8 ─ 1x1 ─ x gain ─ blocks at 1/8 ─ 3x3 s2 ─ blocks at 1/16 ─ 1x1 ─ + ─ y (b,M,h/16,w/16)
         └─────────────────────── 16x16 stride 16, starts as the cosine transform ─────────────┘

The synthesis is the mirror. The last layer of each network path starts at zero, so that the untrained pair is an
orthonormal transform coder and the networks learn what it lacks; a small training budget reaches high rates that way.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.dct import colour_dct
from tokodec.nn.resnet import ConvBlock

STRIDE = 16
_SHUFFLE = 8


def _spread(gain: Float[Tensor, "b c"]) -> Float[Tensor, "b c 1 1"]:
    return torch.exp2(gain)[:, :, None, None]


def _silence(conv: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def _without_autocast(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, enabled=False)


class LowResAnalysis(nn.Module):
    """Pictures in [-0.5, 0.5] to latents ``M`` deep at 1/16; the linear path always computes in float32."""

    def __init__(self, N: int, W: int, M: int, blocks8: int, blocks16: int) -> None:
        super().__init__()
        self.reach = _SHUFFLE * (blocks8 + 1) + STRIDE * blocks16
        """How many pixels beyond a latent can change it."""
        self.head = nn.Conv2d(3 * _SHUFFLE**2, N, 1)
        self.blocks8 = nn.Sequential(*(ConvBlock(N) for _ in range(blocks8)))
        self.down = nn.Conv2d(N, W, 3, stride=2, padding=1)
        self.blocks16 = nn.Sequential(*(ConvBlock(W) for _ in range(blocks16)))
        self.tail = _silence(nn.Conv2d(W, M, 1))
        self.linear = nn.Conv2d(3, M, STRIDE, stride=STRIDE, bias=False)
        self.linear.weight.data.copy_(colour_dct(STRIDE, M))

    def forward(self, x: Float[Tensor, "b 3 h w"], gain: Float[Tensor, "b n"]) -> Float[Tensor, "b m h16 w16"]:
        """``gain``: log2 factors of the features at 1/8."""
        h = self.head(F.pixel_unshuffle(x, _SHUFFLE)) * _spread(gain)
        y = self.tail(self.blocks16(self.down(self.blocks8(h))))
        with _without_autocast(x.device):
            return y.float() + F.conv2d(x.float(), self.linear.weight.float(), stride=STRIDE)


class LowResSynthesis(nn.Module):
    """Latents at 1/16 to pictures around zero; the mirror of :class:`LowResAnalysis`."""

    def __init__(self, N: int, W: int, M: int, blocks8: int, blocks16: int) -> None:
        super().__init__()
        self.reach = _SHUFFLE * (blocks8 + 1) + STRIDE * blocks16
        """How many pixels beyond a pixel a latent can lie that changes it."""
        self.head = nn.Conv2d(M, W, 1)
        self.blocks16 = nn.Sequential(*(ConvBlock(W) for _ in range(blocks16)))
        self.up = nn.Conv2d(W, 4 * N, 1)
        self.blocks8 = nn.Sequential(*(ConvBlock(N) for _ in range(blocks8)))
        self.tail = _silence(nn.Conv2d(N, 3 * _SHUFFLE**2, 3, padding=1))
        self.linear = nn.ConvTranspose2d(M, 3, STRIDE, stride=STRIDE, bias=False)
        self.linear.weight.data.copy_(colour_dct(STRIDE, M))

    def forward(self, y: Float[Tensor, "b m h16 w16"], gain: Float[Tensor, "b n"]) -> Float[Tensor, "b 3 h w"]:
        """``gain``: log2 factors of the features at 1/8, before the last convolution."""
        h = self.blocks8(F.pixel_shuffle(self.up(self.blocks16(self.head(y))), 2))
        x = F.pixel_shuffle(self.tail(h * _spread(gain)), _SHUFFLE)
        with _without_autocast(y.device):
            return x.float() + self._spread_blocks(y.float())

    def _spread_blocks(self, y: Float[Tensor, "b m h16 w16"]) -> Float[Tensor, "b 3 h w"]:
        """The transposed convolution, as a 1x1 one and a shuffle: its blocks do not overlap, and this takes half the time."""
        weight = self.linear.weight.float().permute(1, 2, 3, 0).flatten(0, 2)
        return F.pixel_shuffle(F.conv2d(y, weight[..., None, None]), STRIDE)
