"""Open-MAGVIT2: a code is the row of signs of a vector of 14 or 18 coordinates; there is no codebook to search.

    x ── encoder ──> z ── signs ──> ids ── signs ──> z_hat ── decoder ──> x_hat

Source: Luo et al., "Open-MAGVIT2", 2024 (TencentARC/SEED-Voken); quantizer after Yu et al., ICLR 2024 (MAGVIT-v2).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from tokodec.entry import Entry, Origin, Weights
from tokodec.nn.magvit import MagvitDecoder, MagvitEncoder
from tokodec.quantizers.lfq import LookupFreeQuantizer
from tokodec.tokenizers.lattice import LatticeTokenizer


@dataclass(frozen=True, kw_only=True)
class OpenMagvit2Config:
    """``width`` times each of ``multipliers`` from the finest level to the coarsest; ``bits`` a vector."""

    width: int = 128
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4)
    blocks: int = 4
    groups: int = 32
    bits: int = 18


class OpenMagvit2(LatticeTokenizer):
    """The deviation that its decoder looks at is that of the whole code map: ids do not decode alone."""

    bytes_per_pixel = 4000
    stored = torch.float32

    def __init__(self, config: OpenMagvit2Config) -> None:
        super().__init__()
        self.config = config
        self.stride = 2 ** (len(config.multipliers) - 1)
        widths = [config.width * m for m in config.multipliers]
        self.encoder = MagvitEncoder(widths, config.blocks, config.bits, config.groups)
        self.quantizer = LookupFreeQuantizer(config.bits)
        self.decoder = MagvitDecoder(widths, config.blocks, config.bits, config.groups)

    def latents(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d gh gw"]:
        return self.encoder(x)

    def reconstruct(self, z: Float[Tensor, "b d gh gw"]) -> Float[Tensor, "b 3 h w"]:
        return self.decoder(z)

    def last_layer(self) -> Tensor:
        """The weights that every gradient of a picture passes last."""
        return self.decoder.conv_out.weight


def _entry(config: OpenMagvit2Config, repo: str, file: str) -> Entry:
    origin = Origin(repo=f"TencentARC/Open-MAGVIT2-Tokenizer-{repo}", file=file, licence="Apache-2.0")
    return Entry(build=OpenMagvit2, config=config, family="open_magvit2", origin=origin)


_TINY = OpenMagvit2Config(width=8, multipliers=(1, 2), blocks=1, groups=4, bits=6)

MODELS = {
    "open_magvit2_256": _entry(OpenMagvit2Config(), "256-resolution", "imagenet_256_L.ckpt"),
    "open_magvit2_128": _entry(OpenMagvit2Config(multipliers=(1, 2, 2, 4)), "128-resolution", "imagenet_128_L.ckpt"),
    "open_magvit2_16384": _entry(OpenMagvit2Config(bits=14), "16384-Pretrain", "pretrain256_16384.ckpt"),
    "open_magvit2_262144": _entry(OpenMagvit2Config(), "262144-Pretrain", "pretrain256_262144.ckpt"),
    "open_magvit2_test": Entry(
        build=OpenMagvit2, config=_TINY, family="open_magvit2", weights=Weights(file="open_magvit2_test.safetensors")
    ),
}
