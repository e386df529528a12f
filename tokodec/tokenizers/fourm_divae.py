"""The tokenizers of 4M with a diffusion decoder (DiVAE): pictures, depth, surface normals, and edges.

    x ── as in fourm ──> ids ── row ──> z_hat ─┐ nearest
    noise ── patches of 4x4 ──────────────────(+)── U-Net ──> x_hat, and again with less noise

Decoding draws: in 25 steps from noise of seed 0 unless a sampler says otherwise, so that the same ids give the same picture.

Sources: Mizrahi et al., "4M", NeurIPS 2023 (apple/ml-4m); Shi et al., "DiVAE: photorealistic images synthesis with denoising diffusion
decoder", 2022.
"""

import math
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from tokodec.api import Output, Sampler, Tokens
from tokodec.entry import Entry
from tokodec.errors import InputError
from tokodec.nn.diffusion import LinearSchedule, drawn_noise
from tokodec.nn.unet import UNet, UNetShape
from tokodec.tokenizers.fourm import AsItIs, FourMConfig, FourMEncoder, origin, with_smooth_l1
from tokodec.tokenizers.lattice import lattice, output, sequence

Map = Float[Tensor, "b c h w"]
_SCHEDULE = LinearSchedule()


@dataclass(frozen=True, kw_only=True)
class FourMDivaeConfig(FourMConfig):
    """What begins with ``decoder``: the U-Net's patches, width, multipliers, blocks a level and groups; its two coarsest levels attend."""

    decoder_patch: int = 4
    decoder_width: int = 256
    decoder_multipliers: tuple[int, ...] = (1, 2, 2, 2)
    decoder_blocks: int = 3
    decoder_groups: int = 32

    @property
    def unet(self) -> UNetShape:
        """Of the decoder."""
        levels = len(self.decoder_multipliers)
        return UNetShape(
            width=self.decoder_width,
            multipliers=self.decoder_multipliers,
            blocks=self.decoder_blocks,
            attention=tuple(levels - i <= 2 for i in range(levels)),
            groups=self.decoder_groups,
        )


class FourMDivae(FourMEncoder):
    """Pictures in RGB."""

    bytes_per_pixel = 4000

    def __init__(self, config: FourMDivaeConfig) -> None:
        super().__init__(config)
        self.patch, self.channels = config.decoder_patch, config.channels
        self.window = math.lcm(self.stride, self.patch * 2 ** (len(config.decoder_multipliers) - 1))
        samples = self.channels * self.patch**2
        self.decoder = UNet(config.unet, samples + config.dim, samples)

    def predicted(self, noisy: Map, t: Int[Tensor, " b"], z: Float[Tensor, "b d gh gw"]) -> Map:
        """The picture in its native range, out of a noisy one at time ``t`` and the vectors of its ids."""
        samples = F.pixel_unshuffle(noisy, self.patch)
        seen = F.interpolate(z, size=samples.shape[2:], mode="nearest")
        return F.pixel_shuffle(self.decoder(torch.cat([samples, seen.to(samples.dtype)], 1), t.float()), self.patch)

    def reconstruct(self, z: Float[Tensor, "b d gh gw"]) -> Map:
        return self._drawn(z, Sampler())

    def decode(self, code: Tokens, *, sampler: Sampler | None = None) -> Map:
        """Raises InputError for guidance: the decoder was trained with a code only. All items of a batch begin with the same noise."""
        return self.decoded(code, partial(self._drawn, sampler=sampler or Sampler()))

    def _drawn(self, z: Float[Tensor, "b d gh gw"], sampler: Sampler) -> Map:
        if sampler.guidance != 1:
            raise InputError(f"{self.name or 'this decoder'} knows no guidance but 1, not {sampler.guidance}")
        size = (z.shape[2] * self.stride, z.shape[3] * self.stride)
        noise = drawn_noise((self.channels, *size), sampler.seed, z.device).expand(len(z), -1, -1, -1)
        return _SCHEDULE.draw(noise, lambda x, t: self.predicted(x, t, z).float(), sampler.steps)

    def forward(self, x: Map, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """In training ``pixels`` is what the decoder makes of a picture with noise of a time drawn for each item, and ``mse`` is of it."""
        if not self.training:
            return super().forward(x, quality=quality)
        self.refuse(quality)
        native = self.to_native(self._filled(x))
        z = self.latents(native)
        quantized = self.quantizer(sequence(z))
        t = torch.randint(_SCHEDULE.times, (len(x),), device=x.device)
        noisy = _SCHEDULE.noisy(native, torch.randn_like(native), t)
        found = self.predicted(noisy, t, lattice(quantized.z, z.shape[2:])).float()
        pixels = self._cropped(self.from_native(found), x.shape[2:])
        return output(x, pixels, dict(quantized.terms), self._on_lattice(quantized.ids, z.shape[2:]))


class FourMDivaeMaps(AsItIs, FourMDivae):
    """Maps in their native range. A term more: ``smooth_l1``."""

    def forward(self, x: Map, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        return with_smooth_l1(super().forward(x, quality=quality), x)


def _maps(channels: int, takes: str, name: str) -> Entry:
    config = FourMDivaeConfig(channels=channels, size=8192)
    return Entry(build=FourMDivaeMaps, config=config, family="fourm", origin=origin(name), input=takes)


MODELS = {
    "fourm_rgb_16k": Entry(build=FourMDivae, config=FourMDivaeConfig(size=16384), family="fourm", origin=origin("rgb_16k_224-448")),
    "fourm_depth_8k": _maps(1, "depth", "depth_8k_224-448"),
    "fourm_normal_8k": _maps(3, "normals", "normal_8k_224-448"),
    "fourm_edge_8k": _maps(1, "edges", "edge_8k_224-512"),
}
