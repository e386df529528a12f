"""TiTok with a row of real vectors instead of ids.

    x ── windows ── encoder ──> mean, log variance (bk,n,c) ── mean ──> z (b, n * k, c) ── decoder ──> x_hat

Source: Yu et al., "An image is worth 32 tokens for reconstruction and generation", NeurIPS 2024 (bytedance/1d-tokenizer).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from tokodec.api import ContinuousTokenizer, Latents, Output, Pixels, Sampler
from tokodec.entry import Entry, Weights
from tokodec.errors import InputError
from tokodec.nn.oned import RowEncoder
from tokodec.nn.pad import padded
from tokodec.nn.windows import stitched, windows
from tokodec.tokenizers.rows import Row, by_window, ranked
from tokodec.tokenizers.titok import BASE, LARGE, PixelDecoder, RowConfig, origin

_LOWEST, _HIGHEST = -30.0, 20.0
"""Of the logarithm of a variance."""


@dataclass(frozen=True, kw_only=True)
class VAEConfig(RowConfig):
    """``channels`` of a vector."""

    channels: int = 16


class TiTokVAE(ContinuousTokenizer):
    """Latents (b, n, c): the first vectors of all windows, then the second ones, and so on; of pictures of one window simply ``row``."""

    bytes_per_pixel = 400
    layout = torch.contiguous_format
    stored = torch.float32

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config, self.stride = config, config.side
        self.encoder = RowEncoder(config.trunk(config.encoder), config.patch, config.places, config.row, 2 * config.channels)
        self.decoder = PixelDecoder(config, config.channels)

    def moments(self, x: Float[Tensor, "bk 3 s s"]) -> tuple[Row, Row]:
        """The mean and the logarithm of the variance, of windows in [0, 1]."""
        mean, log_variance = self.encoder(x).chunk(2, -1)
        return mean, log_variance.clamp(_LOWEST, _HIGHEST)

    def encode(self, x: Pixels, *, quality: float | Float[Tensor, " b"] | None = None) -> Latents:
        """The means: nothing is drawn."""
        self.refuse(quality)
        parts = windows(padded(x, self.stride), self.stride).contiguous()
        with self.numerics.transforms(x.device):
            z = self.numerics.choice(
                lambda: self.moments(parts)[0].float(), lambda: torch.cat([self.moments(one)[0] for one in parts.split(1)])
            )
        return Latents(z=ranked(z, len(x)), size=(x.shape[2], x.shape[3]))

    def decode(self, code: Latents, *, sampler: Sampler | None = None) -> Pixels:
        """Pictures in [0, 1] of the size that was encoded. Raises InputError for latents of another shape."""
        self.refuse_sampler(sampler)
        rows, columns = (math.ceil(n / self.stride) for n in code.size)
        wanted = (rows * columns * self.config.row, self.config.channels)
        if tuple(code.z.shape[1:]) != wanted:
            raise InputError(f"pictures of {code.size[0]} x {code.size[1]} have latents of {wanted}, not {tuple(code.z.shape[1:])}")
        parts = by_window(code.z.float(), rows * columns).contiguous()
        with self.numerics.transforms(code.z.device):
            pixels = self.numerics.choice(
                lambda: self.decoder(parts).float(), lambda: torch.cat([self.decoder(one) for one in parts.split(1)])
            )
        return self._whole(pixels, code.size).clamp(0, 1)

    def forward(self, x: Pixels, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """Terms of each item: ``mse`` (RGB in [0, 1]); in training, of a drawn latent, with ``kl``, the nats to a standard normal, summed
        over the latent.
        """
        self.refuse(quality)
        if not self.training:
            pixels = self.decode(self.encode(x))
            return Output(pixels=pixels, terms={"mse": _error(pixels, x)})
        mean, log_variance = self.moments(windows(padded(x, self.stride), self.stride))
        mean, log_variance = mean.float(), log_variance.float()
        drawn = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        pixels = self._whole(self.decoder(drawn).float(), tuple(x.shape[2:]))
        nats = (mean.square() + log_variance.exp() - 1 - log_variance) / 2
        terms = {"mse": _error(pixels, x), "kl": nats.flatten(1).sum(1).unflatten(0, (len(x), -1)).sum(1)}
        return Output(pixels=pixels, terms=terms, aux={"z": ranked(drawn, len(x))})

    def last_layer(self) -> Tensor:
        """The weights that every gradient of a picture passes last."""
        return self.decoder.smooth.weight

    def _whole(self, parts: Float[Tensor, "bk 3 s s"], size: tuple[int, ...]) -> Pixels:
        height, width = (math.ceil(n / self.stride) * self.stride for n in size)
        return stitched(parts, (height, width))[..., : size[0], : size[1]]


def _error(pixels: Pixels, x: Pixels) -> Float[Tensor, " b"]:
    return (pixels - x).square().flatten(1).mean(1)


def _vae(name: str, encoder: tuple[int, int, int], row: int) -> Entry:
    return Entry(build=TiTokVAE, config=VAEConfig(encoder=encoder, row=row), family="titok", origin=origin(name))


_TOWER = (32, 1, 2)
_TINY = VAEConfig(side=32, patch=8, encoder=_TOWER, decoder=_TOWER, row=6, channels=4)

MODELS = {
    "titok_ll32_vae_c16": _vae("ll32_vae_c16", LARGE, 32),
    "titok_bl64_vae_c16": _vae("bl64_vae_c16", BASE, 64),
    "titok_bl128_vae_c16": _vae("bl128_vae_c16", BASE, 128),
    "titok_vae_test": Entry(build=TiTokVAE, config=_TINY, family="titok", weights=Weights(file="titok_vae_test.safetensors")),
}
