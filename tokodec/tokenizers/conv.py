"""Convolutional tokenizers: the VQGAN layout, rebuilt for few parameters and two processor cores.

    x ── encoder ──> z (b,d,h/s,w/s) ── quantizer ──> ids (b,h/s,w/s[,k]) ── lookup ──> z_hat ── decoder ──> x_hat

Any quantizer that can say how sure it is goes with it (:mod:`tokodec.tokenizers.vq`).

In ``stable`` numerics an id does not depend on the batch, the thread count, the memory layout or the device. Convolutions in
float32 differ by about 1e-6 between those; where a vector lies closer to the border of its cell than TOLERANCE, its
surroundings are encoded again in float64, whose errors are some hundred million times smaller, and that decides.

Source: Esser et al., "Taming transformers for high-resolution image synthesis", CVPR 2021 (VQGAN). Blocks: :mod:`tokodec.nn.pyramid`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.api import Output, Pixels
from tokodec.entropy.idprior import IdPrior
from tokodec.entropy.joint import joined, parted
from tokodec.nn.pad import padded
from tokodec.nn.pyramid import Level, PyramidDecoder, PyramidEncoder
from tokodec.quantizers.base import Quantized, SureQuantizer
from tokodec.tokenizers.lattice import LatticeTokenizer, lattice, output, sequence

TOLERANCE = 1e-5
"""In coordinates as the quantizer compares them. The largest error of float32 that was seen is a quarter of it (see the card)."""

_WINDOWS = 16
"""So many are encoded together in float64."""


@dataclass(frozen=True, kw_only=True)
class ConvTokenizerConfig:
    """Features, blocks and kernels from the finest level (1/4) to the coarsest; their number sets the stride."""

    widths: tuple[int, ...] = (64, 192, 280)
    encoder_blocks: tuple[int, ...] = (1, 3, 2)
    decoder_blocks: tuple[int, ...] = (1, 3, 2)
    kernels: tuple[int, ...] = (3, 3, 5)


@dataclass(frozen=True, kw_only=True)
class Window:
    """The cells around one in doubt: ``item`` of the batch, ``place`` in its sequence; (row, column) is where the cell is in it."""

    item: int
    place: int
    top: int
    left: int
    bottom: int
    right: int
    row: int
    column: int


class ConvTokenizer(LatticeTokenizer):
    """See the module's docstring. Any size: pictures are padded by replication, and cropped when decoded."""

    bytes_per_pixel = 160
    layout = torch.channels_last

    def __init__(self, config: ConvTokenizerConfig, quantizer: SureQuantizer) -> None:
        super().__init__()
        self.config = config
        self.encoder = PyramidEncoder(levels(config, config.encoder_blocks), quantizer.dim)
        self.quantizer = quantizer
        self.decoder = PyramidDecoder(levels(config, config.decoder_blocks), quantizer.dim)
        self.prior = IdPrior(size=quantizer.size, dim=quantizer.dim)
        self.stride = self.encoder.stride

    # --- training

    def forward(self, x: Pixels, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """Terms of each item: ``mse`` (RGB in [0, 1]), what the quantizer adds, and ``id_bits``, what the prior spends on an id.

        In training mode only what has parameters to train is computed. In eval mode, what the tokenizer does.
        """
        self.refuse(quality)
        if not self.training:
            return self._measured(x)
        found = self._reconstructed(x) if trains(self.encoder) or trains(self.decoder) else self._tokenized(x)
        if trains(self.prior):
            found.terms["id_bits"] = self.prior(self._joint(found.aux["ids"]), self._codes())
        return found

    def _reconstructed(self, x: Pixels) -> Output:
        z = self.encoder(padded(x, self.stride) - 0.5)
        quantized = self.quantizer(sequence(z)) if trains(self.encoder) else self._fixed(z)
        pixels = self.decoder(lattice(quantized.z, z.shape[2:])).float() + 0.5
        ids = self._on_lattice(quantized.ids, z.shape[2:])
        return output(x, pixels[..., : x.shape[2], : x.shape[3]], dict(quantized.terms), ids)

    @torch.no_grad()
    def _tokenized(self, x: Pixels) -> Output:
        z = self.encoder(padded(x, self.stride) - 0.5)
        return Output(pixels=None, terms={}, aux={"ids": self._on_lattice(self._fixed(z).ids, z.shape[2:])})

    def _fixed(self, z: Float[Tensor, "b d gh gw"]) -> Quantized:
        """By a quantizer that is not to learn any more."""
        ids = self.quantizer.ids(sequence(z.float()))
        return Quantized(z=self.quantizer.lookup(ids), ids=ids, vocab=self.quantizer.vocab)

    def last_layer(self) -> Tensor:
        """The weights that every gradient of a picture passes last."""
        return self.decoder.last

    def finish(self, pictures: Iterable[Pixels]) -> None:
        """Freeze a trained prior; without one, put the codes into an order that one can use."""
        if self.prior.net is None:
            self.quantizer.sort(self.prior.coarse)
            return
        with torch.inference_mode():
            self.prior.freeze([self._joint(self.encode(x).ids) for x in pictures], self._codes())

    def _joint(self, ids: Int[Tensor, "b gh gw *k"]) -> Int[Tensor, "b gh gw"]:
        """As the prior sees them: one number a place, whatever the number of codebooks."""
        return joined(ids, self.quantizer.vocab) if self._codebooks else ids

    def _codes(self) -> Float[Tensor, "n d"]:
        """The vectors of all such numbers."""
        numbers = torch.arange(self.quantizer.size, device=self.device)
        ids = parted(numbers, self.quantizer.vocab) if self._codebooks else numbers
        return self.quantizer.lookup(ids[None])[0]

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    # --- the tokenizer

    def latents(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d gh gw"]:
        return self.encoder(x)

    def reconstruct(self, z: Float[Tensor, "b d gh gw"]) -> Float[Tensor, "b 3 h w"]:
        return self.decoder(z)

    def to_native(self, x: Pixels) -> Float[Tensor, "b 3 h w"]:
        """Around zero: [-0.5, 0.5]."""
        return x - 0.5

    def from_native(self, x: Float[Tensor, "b 3 h w"]) -> Pixels:
        return x + 0.5

    def settled(self, x: Float[Tensor, "b 3 h w"]) -> Int[Tensor, "b n *k"]:
        """Ids, those in doubt decided in float64, windows of one shape together."""
        assert isinstance(self.quantizer, SureQuantizer)
        with self.numerics.transforms(x.device):
            choice = self.quantizer.choose(sequence(self.encoder(x)))
        columns = x.shape[3] // self.stride
        windows: dict[tuple[int, ...], list[Window]] = {}
        for item, place in (choice.margin < TOLERANCE).nonzero().tolist():
            window = self._window(item, place, columns, x.shape[2:])
            windows.setdefault((window.bottom - window.top, window.right - window.left), []).append(window)
        weights = {name: p.double() for name, p in self.encoder.named_parameters()} if windows else {}
        ids = choice.ids.clone()
        for alike in windows.values():
            for start in range(0, len(alike), _WINDOWS):
                some = alike[start : start + _WINDOWS]
                ids[[w.item for w in some], [w.place for w in some]] = self._decided(x, some, weights)
        return ids

    def _window(self, item: int, place: int, columns: int, size: torch.Size) -> Window:
        reach, (row, column) = -(-self.encoder.reach // self.stride), divmod(place, columns)
        top, left = max(row - reach, 0), max(column - reach, 0)
        bottom, right = min(row + reach + 1, size[0] // self.stride), min(column + reach + 1, columns)
        return Window(item=item, place=place, top=top, left=left, bottom=bottom, right=right, row=row - top, column=column - left)

    def _decided(self, filled: Float[Tensor, "b 3 h w"], windows: list[Window], weights: dict[str, Tensor]) -> Int[Tensor, "m ..."]:
        """The ids of the cell in the middle of each window, from all the pixels that can change it, in float64."""
        s = self.stride
        crops = [filled[w.item, :, s * w.top : s * w.bottom, s * w.left : s * w.right] for w in windows]
        z = torch.func.functional_call(self.encoder, weights, (torch.stack(crops).double(),))
        vectors = torch.stack([z[i, :, w.row, w.column] for i, w in enumerate(windows)])
        return self.quantizer.ids(vectors[None])[0]


def levels(config: ConvTokenizerConfig, blocks: tuple[int, ...]) -> list[Level]:
    """What the pyramids of a configuration are made of."""
    return [Level(width=w, blocks=n, kernel=k) for w, n, k in zip(config.widths, blocks, config.kernels, strict=True)]


def trains(module: nn.Module) -> bool:
    """Whether any parameter of it is to learn."""
    return any(p.requires_grad for p in module.parameters())
