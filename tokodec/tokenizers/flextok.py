"""FlexTok: a row of 256 ids, drawn into a picture by a rectified flow that knows the first of them, as many as there are.

    x ── KL encoder ── mean ──> latent ── transformer ──> registers (b,256,6) ── quantizer ──> ids
    ids ── the first k ── lookup ──> z_hat ─┐
    noise ── transformer ───────────────────┴──> velocity, a step, and again ──> latent ── KL decoder ──> x_hat

Decoding draws: in 25 steps from noise of seed 0 unless a sampler says otherwise, so that the same ids give the same picture.

Source: Bachmann et al., "FlexTok: resampling images into 1D token sequences of flexible length", ICML 2025 (apple/ml-flextok).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokodec.api import Output, Sampler, Tokens
from tokodec.entry import Entry, Origin, Weights
from tokodec.nn.diffusion import drawn_noise
from tokodec.nn.flow import Course, Guidance, Velocity, clean, draw, drawn_times, noisy
from tokodec.nn.kl import KLDecoder, KLEncoder
from tokodec.nn.vqgan import Shape
from tokodec.quantizers.fsq import FiniteScalarQuantizer
from tokodec.tokenizers.flextok_layers import RegisterEncoder, Tower, VelocityDecoder
from tokodec.tokenizers.lattice import Picture, output
from tokodec.tokenizers.prefix import PrefixTokenizer
from tokodec.tokenizers.rows import Parts, Row, Seen, ranked


@dataclass(frozen=True, kw_only=True)
class FlexTokConfig:
    """``side`` of a window in pixels; ``row`` ids of ``levels`` a window. Towers: width and layers, heads of ``head``.

    ``vae_width`` times ``vae_multipliers`` from the finest level on, ``vae_blocks`` a level; its latents have ``channels`` and are
    multiplied by ``vae_scale``; ``patch`` of a latent is a place of towers. ``decoder_time``: what a time in [0, 1] is multiplied by;
    ``decoder_nothing``: the share of a batch that trains without ids. Of guidance: ``decoder_momentum``, the longest change
    ``decoder_most``, and how much of it counts along the velocity, ``decoder_parallel``.
    """

    side: int = 256
    vae_width: int = 128
    vae_multipliers: tuple[int, ...] = (1, 2, 4, 4)
    vae_blocks: int = 2
    vae_groups: int = 32
    vae_scale: float = 0.18215
    channels: int = 16
    patch: int = 2
    encoder: tuple[int, int] = (768, 12)
    decoder: tuple[int, int] = (768, 12)
    head: int = 64
    row: int = 256
    levels: tuple[int, ...] = (8, 8, 8, 5, 5, 5)
    decoder_time: float = 1000.0
    decoder_nothing: float = 0.1
    decoder_momentum: float = -0.5
    decoder_most: float = 2.5
    decoder_parallel: float = 0.0

    @property
    def vae(self) -> Shape:
        """Of the KL autoencoder, which attends between its halves only."""
        return Shape.of(self.vae_width, self.vae_multipliers, self.vae_blocks, self.vae_groups, attention=0)

    @property
    def latent(self) -> int:
        """The side of a window's latent."""
        return self.side // 2 ** (len(self.vae_multipliers) - 1)

    @property
    def guidance(self) -> Guidance:
        """Of drawing."""
        return Guidance(momentum=self.decoder_momentum, most=self.decoder_most, parallel=self.decoder_parallel)

    def tower(self, tower: tuple[int, int]) -> Tower:
        """Of a width and layers."""
        width, depth = tower
        return Tower(
            width=width,
            depth=depth,
            head=self.head,
            channels=self.channels,
            places=self.latent // self.patch,
            patch=self.patch,
            row=self.row,
            dim=len(self.levels),
        )


class FlexTok(PrefixTokenizer):
    """Every window is drawn from the same noise. The KL autoencoder learns nothing: it is trained beforehand."""

    bytes_per_pixel = 400
    stored = torch.float32

    def __init__(self, config: FlexTokConfig) -> None:
        super().__init__()
        self.config, self.stride, self.row = config, config.side, config.row
        self.vae = KLEncoder(config.vae, config.channels).requires_grad_(requires_grad=False)
        self.encoder = RegisterEncoder(config.tower(config.encoder))
        self.quantizer = FiniteScalarQuantizer(config.levels)
        self.decoder = VelocityDecoder(config.tower(config.decoder), config.decoder_time)
        self.decoder_vae = KLDecoder(config.vae, config.channels).requires_grad_(requires_grad=False)

    def to_native(self, x: Picture) -> Picture:
        return x * 2 - 1

    def from_native(self, x: Picture) -> Picture:
        return (x + 1) / 2

    def drawn_lengths(self, items: int) -> Int[Tensor, " b"]:
        """Powers of two up to ``row``, each as likely, for each item."""
        return 2 ** torch.randint(self.row.bit_length(), (items,))

    # --- drawing

    def latents(self, x: Parts) -> Row:
        return self.encoder(self.vae(x)[0] * self.config.vae_scale)

    def drawn(self, z: Row, seen: Seen | None = None) -> tuple[Parts, Mapping[str, Tensor]]:
        return self.sampled(Sampler(), z, seen)

    def decode(self, code: Tokens, *, sampler: Sampler | None = None) -> Picture:
        """Pictures in [0, 1] of the size that was encoded. All windows of all items begin with the same noise.

        Raises InputError for ids that the codebook does not have, and FingerprintMismatch for those of another model.
        """
        return self.decoded(code, partial(self.sampled, sampler or Sampler()))

    def sampled(self, sampler: Sampler, z: Row, seen: Seen | None = None) -> tuple[Parts, Mapping[str, Tensor]]:
        """Windows drawn as ``sampler`` says."""
        config, registers = self.config, self.decoder.told(z, seen)
        noise = drawn_noise((config.channels, config.latent, config.latent), sampler.seed, z.device).expand(len(z), -1, -1, -1)
        velocity = partial(self.decoder, registers=registers) if sampler.guidance == 1 else self._guided(registers, sampler.guidance)
        return self._picture(draw(noise, velocity, sampler.steps)), {}

    def _guided(self, registers: Float[Tensor, "b n c"], factor: float) -> Velocity:
        course, untold = Course(self.config.guidance, factor), self.decoder.untold(len(registers))
        return lambda x, s: course(self.decoder(x, s, registers), self.decoder(x, s, untold))

    def _picture(self, latent: Float[Tensor, "b z h w"]) -> Parts:
        return self.decoder_vae(latent / self.config.vae_scale)

    # --- training

    def forward(self, x: Picture, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """Terms of each item: in training ``flow``, the squared error of the velocity at a time drawn for each window, and without a
        gradient ``mse`` (RGB in [0, 1]) of where that velocity leads; in eval mode ``mse`` and ``bpp``, and what the tokenizer does.
        """
        if not self.training:
            return super().forward(x, quality=quality)
        parts = self.cut(self.to_native(x))
        mean, log_variance = self.vae(parts)
        latent = (mean + (log_variance / 2).exp() * torch.randn_like(mean)) * self.config.vae_scale
        quantized = self.quantizer(self.encoder(latent))
        registers = self._some_untold(self.decoder.told(quantized.z, self._seen(x, quality)))
        s, noise = drawn_times(len(latent), x.device), torch.randn_like(latent)
        between = noisy(latent, noise, s)
        velocity = self.decoder(between, s, registers)
        flow = (velocity - (noise - latent)).square().flatten(1).mean(1)
        with torch.no_grad():
            pixels = self.whole(self.from_native(self._picture(clean(between, velocity, s)).float()), tuple(x.shape[2:]))
        return output(x, pixels, {"flow": flow.unflatten(0, (len(x), -1)).mean(1)}, ranked(quantized.ids, len(x)))

    def _some_untold(self, registers: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
        """Without ids for a share of the windows, the same of every batch but for what rounding leaves to chance."""
        items = len(registers)
        draws = (torch.randperm(items) + torch.rand(())) / items
        untold = (draws < self.config.decoder_nothing).to(registers.device)
        return self.decoder.untold(items).to(registers.dtype).where(untold[:, None, None], registers)


LICENCE = "LicenseRef-Apple-ML-Research-Model"
D12, D18, D28 = (768, 12), (1152, 18), (1792, 28)
"""Width and layers of towers."""


def _entry(name: str, encoder: tuple[int, int], decoder: tuple[int, int]) -> Entry:
    return Entry(
        build=FlexTok,
        config=FlexTokConfig(encoder=encoder, decoder=decoder),
        family="flextok",
        origin=Origin(repo=f"EPFL-VILAB/flextok_{name}", file="model.safetensors", licence=LICENCE),
        variable_rate=True,
        variable_length=True,
    )


_TINY = FlexTokConfig(
    side=64,
    vae_width=4,
    vae_multipliers=(1, 1, 2),
    vae_blocks=1,
    vae_groups=2,
    vae_scale=1.0,
    channels=4,
    patch=4,
    encoder=(32, 2),
    decoder=(32, 2),
    head=16,
    row=6,
    levels=(4, 4, 4),
    decoder_nothing=0.5,
)

MODELS = {
    "flextok_d12_d12": _entry("d12_d12_in1k", D12, D12),
    "flextok_d18_d18": _entry("d18_d18_in1k", D18, D18),
    "flextok_d18_d28": _entry("d18_d28_in1k", D18, D28),
    "flextok_d18_d28_dfn": _entry("d18_d28_dfn", D18, D28),
    "flextok_test": Entry(
        build=FlexTok,
        config=_TINY,
        family="flextok",
        weights=Weights(file="flextok_test.safetensors"),
        variable_rate=True,
        variable_length=True,
    ),
}
