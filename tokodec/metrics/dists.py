"""DISTS: structure and texture of the features of VGG-16, weighed as people see them. Lower is better, 0 for equal pictures.

Source: Ding et al., "Image quality assessment: unifying structure and texture similarity", IEEE TPAMI 44, 2022 (dingkeyan93/DISTS).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

DISTS_MIN_SIDE = 16
CUTS = (3, 8, 15, 22, 29)
"""After which of VGG-16's layers features are taken."""
CHANNELS = (3, 64, 128, 256, 512, 512)
"""Of the picture itself and of those features."""
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_STEADY = 1e-6


class DISTS(nn.Module):
    """The distance of pictures in [0, 1]: (b,).

    ``layers``: the convolutions of VGG-16, whose maxima over 2 x 2 are replaced by root mean squares under a small window.
    ``alpha``, ``beta``: how much the mean and the covariance of each channel count, one number a channel of CHANNELS.
    """

    def __init__(self, layers: nn.Sequential, alpha: Float[Tensor, " c"], beta: Float[Tensor, " c"]) -> None:
        super().__init__()
        self.layers = layers[: CUTS[-1] + 1]
        total = alpha.sum() + beta.sum()
        self.register_buffer("alpha", alpha / total)
        self.register_buffer("beta", beta / total)
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None])
        self.register_buffer("deviation", torch.tensor(_DEVIATION)[:, None, None])

    def forward(self, a: Float[Tensor, "b 3 h w"], b: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
        means: list[Tensor] = []
        covariances: list[Tensor] = []
        for one, other in zip(self.features(a), self.features(b), strict=True):
            mean, covariance = _alike(one.flatten(2), other.flatten(2))
            means.append(mean)
            covariances.append(covariance)
        return 1 - torch.cat(means, 1) @ self.get_buffer("alpha") - torch.cat(covariances, 1) @ self.get_buffer("beta")

    def features(self, x: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b c h2 w2"]]:
        """The picture itself, and what VGG-16 makes of it at five depths."""
        found = [x]
        x = (x - self.get_buffer("mean")) / self.get_buffer("deviation")
        for i, layer in enumerate(self.layers):
            x = _root_mean_square(x) if isinstance(layer, nn.MaxPool2d) else layer(x)
            if i in CUTS:
                found.append(x)
        return found


def _alike(a: Float[Tensor, "b c n"], b: Float[Tensor, "b c n"]) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b c"]]:
    """How alike the means are, and how alike what is around them, channel by channel."""
    mean_a, mean_b = a.mean(2), b.mean(2)
    covariance = (a * b).mean(2) - mean_a * mean_b
    spread = a.var(2, correction=0) + b.var(2, correction=0)
    return (
        (2 * mean_a * mean_b + _STEADY) / (mean_a.square() + mean_b.square() + _STEADY),
        (2 * covariance + _STEADY) / (spread + _STEADY),
    )


def _root_mean_square(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
    """At half the size, under the window (1 2 1) / 4 each way."""
    line = torch.tensor([0.25, 0.5, 0.25], device=x.device, dtype=x.dtype)
    window = (line[:, None] * line).expand(x.shape[1], 1, 3, 3)
    return (F.conv2d(x.square(), window, stride=2, padding=1, groups=x.shape[1]) + 1e-12).sqrt()
