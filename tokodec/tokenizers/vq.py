"""Convolutional tokenizers with one id a cell: the VQGAN layout, rebuilt for few parameters and two processor cores.

    x ── encoder ──> z (b,d,h/s,w/s) ── quantizer ──> ids (b,h/s,w/s) ── lookup ──> z_hat ── decoder ──> x_hat

Two families share it: ``vq`` has a normalised codebook, ``fsq`` rounds each coordinate to a few levels.

In ``stable`` numerics an id does not depend on the batch, the thread count, the memory layout or the device. Convolutions in
float32 differ by about 1e-6 between those; where a vector lies closer to the border of its cell than TOLERANCE, its
surroundings are encoded again in float64, whose errors are some hundred million times smaller, and that decides.

Sources: Esser et al., "Taming transformers for high-resolution image synthesis", CVPR 2021 (VQGAN); Sun et al., "Autoregressive
model beats diffusion: Llama for scalable image generation", 2024 (normalised low-dimensional codes at 16,384 entries);
Mentzer et al., "Finite scalar quantization", ICLR 2024. Blocks: :mod:`tokodec.nn.pyramid`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.api import DiscreteTokenizer, Output, Pixels, Sampler, Stream, Tokens
from tokodec.entropy.idprior import IdPrior
from tokodec.entry import Entry, Weights
from tokodec.errors import InputError
from tokodec.nn.pad import padded
from tokodec.nn.pyramid import Level, PyramidDecoder, PyramidEncoder
from tokodec.quantizers.base import Choice, Quantized, SureQuantizer
from tokodec.quantizers.fsq import FiniteScalarQuantizer
from tokodec.quantizers.ema import NormalisedEmaVectorQuantizer

TOLERANCE = 1e-5
"""In coordinates as the quantizer compares them. The largest error of float32 that was seen is a sixth of it (see the card)."""

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
class VQConfig(ConvTokenizerConfig):
    """``size`` codes of ``dim`` coordinates."""

    size: int = 16384
    dim: int = 8


@dataclass(frozen=True, kw_only=True)
class FSQConfig(ConvTokenizerConfig):
    """``levels`` of each coordinate."""

    levels: tuple[int, ...] = (8, 8, 8, 6, 5)


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


class ConvTokenizer(DiscreteTokenizer):
    """See the module's docstring. Any size: pictures are padded by replication, and cropped when decoded."""

    bytes_per_pixel = 160

    def __init__(self, config: ConvTokenizerConfig, quantizer: SureQuantizer) -> None:
        super().__init__()
        self.config = config
        self.encoder = PyramidEncoder(_levels(config, config.encoder_blocks), quantizer.dim)
        self.quantizer = quantizer
        self.decoder = PyramidDecoder(_levels(config, config.decoder_blocks), quantizer.dim)
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
        output = self._reconstructed(x) if _trains(self.encoder) or _trains(self.decoder) else self._tokenized(x)
        if _trains(self.prior):
            output.terms["id_bits"] = self.prior(output.aux["ids"], self._codes())
        return output

    def _reconstructed(self, x: Pixels) -> Output:
        z = self.encoder(padded(x, self.stride) - 0.5)
        quantized = self.quantizer(_sequence(z)) if _trains(self.encoder) else self._fixed(z)
        pixels = self.decoder(_lattice(quantized.z, z.shape[2:])).float() + 0.5
        ids = quantized.ids.view(z.shape[0], *z.shape[2:])
        return _output(x, pixels[..., : x.shape[2], : x.shape[3]], dict(quantized.terms), ids)

    @torch.no_grad()
    def _tokenized(self, x: Pixels) -> Output:
        z = self.encoder(padded(x, self.stride) - 0.5)
        return Output(pixels=None, terms={}, aux={"ids": self._fixed(z).ids.view(z.shape[0], *z.shape[2:])})

    def _fixed(self, z: Float[Tensor, "b d gh gw"]) -> Quantized:
        """By a quantizer that is not to learn any more."""
        ids = self.quantizer.ids(_sequence(z.float()))
        return Quantized(z=self.quantizer.lookup(ids), ids=ids, vocab=self.quantizer.vocab)

    def _measured(self, x: Pixels) -> Output:
        tokens = self.encode(x)
        bpp = (tokens.bits / (x.shape[2] * x.shape[3])).float().to(x.device)
        return _output(x, self.decode(tokens), {"bpp": bpp}, tokens.ids)

    def finish(self, pictures: Iterable[Pixels]) -> None:
        """Freeze a trained prior; without one, put the codes into an order that one can use."""
        if self.prior.net is None:
            self.quantizer.sort(self.prior.coarse)
            return
        with torch.inference_mode():
            self.prior.freeze([self.encode(x).ids for x in pictures], self._codes())

    def _codes(self) -> Float[Tensor, "k d"]:
        return self.quantizer.lookup(torch.arange(self.quantizer.size, device=self.device)[None])[0]

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    # --- the tokenizer

    def encode(self, x: Pixels, *, quality: float | Float[Tensor, " b"] | None = None) -> Tokens:
        """One stream, ``ids`` over (h, w)."""
        self.refuse(quality)
        filled = padded(x, self.stride) - 0.5
        with self.numerics.transforms(x.device):
            z = self.encoder(filled)
        vectors = _sequence(z.float())
        ids = self.numerics.choice(lambda: self.quantizer.ids(vectors), lambda: self._settled(filled, self.quantizer.choose(vectors)))
        stream = Stream(ids=ids.view(z.shape[0], *z.shape[2:]), axes=("h", "w"), vocab=(self.quantizer.size,))
        return self.signed({"ids": stream}, (x.shape[2], x.shape[3]))

    def blank(self, size: tuple[int, ...]) -> Tokens:
        """Tokens of one picture of ``size`` (h, w) without values, on the ``meta`` device."""
        grid = tuple(-(-n // self.stride) for n in size)
        ids = torch.empty(1, *grid, dtype=torch.int64, device="meta")
        return self.signed({"ids": Stream(ids=ids, axes=("h", "w"), vocab=(self.quantizer.size,))}, size)

    def decode(self, code: Tokens, *, sampler: Sampler | None = None) -> Pixels:
        """Pictures in [0, 1] of the size that was encoded.

        Raises InputError for ids that the codebook does not have, and FingerprintMismatch for those of another model.
        """
        self.refuse_sampler(sampler)
        ids = self._checked(code)
        z = _lattice(self.quantizer.lookup(ids.flatten(1)), ids.shape[1:])
        with self.numerics.transforms(ids.device):
            pixels = self.decoder(z.contiguous(memory_format=torch.channels_last)).float() + 0.5
        return pixels[..., : code.size[0], : code.size[1]].clamp(0, 1)

    def _checked(self, code: Tokens) -> Int[Tensor, "b gh gw"]:
        self.check_maker(code)
        ids = code.ids
        grid = tuple(-(-n // self.stride) for n in code.size)
        if tuple(ids.shape[1:]) != grid:
            raise InputError(f"pictures of {code.size[0]} x {code.size[1]} have {grid[0]} x {grid[1]} ids, not {tuple(ids.shape[1:])}")
        if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < self.quantizer.size:
            raise InputError(f"ids are 0 to {self.quantizer.size - 1}; these reach from {int(ids.min())} to {int(ids.max())}")
        return ids

    def _settled(self, filled: Float[Tensor, "b 3 h w"], choice: Choice) -> Int[Tensor, "b n"]:
        """Ids, those in doubt decided in float64, windows of one shape together."""
        columns = filled.shape[3] // self.stride
        windows: dict[tuple[int, ...], list[Window]] = {}
        for item, place in (choice.margin < TOLERANCE).nonzero().tolist():
            window = self._window(item, place, columns, filled.shape[2:])
            windows.setdefault((window.bottom - window.top, window.right - window.left), []).append(window)
        weights = {name: p.double() for name, p in self.encoder.named_parameters()} if windows else {}
        ids = choice.ids.clone()
        for alike in windows.values():
            for start in range(0, len(alike), _WINDOWS):
                some = alike[start : start + _WINDOWS]
                ids[[w.item for w in some], [w.place for w in some]] = self._decided(filled, some, weights)
        return ids

    def _window(self, item: int, place: int, columns: int, size: torch.Size) -> Window:
        reach, (row, column) = -(-self.encoder.reach // self.stride), divmod(place, columns)
        top, left = max(row - reach, 0), max(column - reach, 0)
        bottom, right = min(row + reach + 1, size[0] // self.stride), min(column + reach + 1, columns)
        return Window(item=item, place=place, top=top, left=left, bottom=bottom, right=right, row=row - top, column=column - left)

    def _decided(self, filled: Float[Tensor, "b 3 h w"], windows: list[Window], weights: dict[str, Tensor]) -> Int[Tensor, " m"]:
        """The id of the cell in the middle of each window, from all the pixels that can change it, in float64."""
        s = self.stride
        crops = [filled[w.item, :, s * w.top : s * w.bottom, s * w.left : s * w.right] for w in windows]
        z = torch.func.functional_call(self.encoder, weights, (torch.stack(crops).double(),))
        vectors = torch.stack([z[i, :, w.row, w.column] for i, w in enumerate(windows)])
        return self.quantizer.ids(vectors[None])[0]


class VQTokenizer(ConvTokenizer):
    """With a normalised codebook."""

    def __init__(self, config: VQConfig) -> None:
        super().__init__(config, NormalisedEmaVectorQuantizer(config.size, config.dim))


class FSQTokenizer(ConvTokenizer):
    """With finite scalar quantization."""

    def __init__(self, config: FSQConfig) -> None:
        super().__init__(config, FiniteScalarQuantizer(config.levels))


def _levels(config: ConvTokenizerConfig, blocks: tuple[int, ...]) -> list[Level]:
    return [Level(width=w, blocks=n, kernel=k) for w, n, k in zip(config.widths, blocks, config.kernels, strict=True)]


def _sequence(z: Float[Tensor, "b d gh gw"]) -> Float[Tensor, "b n d"]:
    return z.flatten(2).transpose(1, 2)


def _lattice(z: Float[Tensor, "b n d"], grid: tuple[int, ...] | torch.Size) -> Float[Tensor, "b d gh gw"]:
    return z.transpose(1, 2).unflatten(2, tuple(grid))


def _output(x: Pixels, pixels: Pixels, terms: dict[str, Float[Tensor, " b"]], ids: Int[Tensor, "b ..."]) -> Output:
    return Output(pixels=pixels, terms={"mse": (pixels - x).square().flatten(1).mean(1), **terms}, aux={"ids": ids})


def _trains(module: nn.Module) -> bool:
    return any(p.requires_grad for p in module.parameters())


MODELS = {
    "vq_f16.v1": Entry(build=VQTokenizer, config=VQConfig(), family="vq", weights=Weights(file="vq_f16.v1.safetensors")),
    "vq_f8.v1": Entry(
        build=VQTokenizer,
        config=VQConfig(widths=(96, 200), encoder_blocks=(1, 3), decoder_blocks=(2, 3), kernels=(3, 5)),
        family="vq",
        weights=Weights(file="vq_f8.v1.safetensors"),
    ),
    "fsq_f16": Entry(build=FSQTokenizer, config=FSQConfig(), family="vq"),
    "vq_test": Entry(
        build=VQTokenizer,
        config=VQConfig(widths=(8, 12, 16), encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1, 1), kernels=(3, 3, 5), size=64, dim=4),
        family="vq",
        weights=Weights(file="vq_test.safetensors"),
    ),
}
