"""Any discrete tokenizer as a file codec: its ids, entropy-coded exactly.

    x ── tokenizer.encode ──> ids ══ bits ══> ids ── tokenizer.decode ──> x_hat

A payload is a byte that says how, and the ids: 0, as one number of plain ids (:mod:`tokodec.entropy.flat`), which costs what
their vocabulary costs; 1, under the tokenizer's own prior (:mod:`tokodec.entropy.idcoder`), if it has a trained one. The
encoder takes what is shorter. Rows of any length have a codec of their own (:mod:`tokodec.codecs.prefix`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor, nn

from tokodec import storage
from tokodec.api import Codec, DiscreteTokenizer, Output, Pixels, Stream, Symbols, Tokens
from tokodec.entropy import flat
from tokodec.entropy.flat import Section
from tokodec.entropy.idcoder import IdCoder
from tokodec.entropy.idprior import IdPrior
from tokodec.entropy.joint import joined, parted
from tokodec.errors import CorruptFile, InputError

PLAIN, PRIOR = 0, 1


class TokenCodec(Codec):
    """The codec of a loaded tokenizer, whose numerics count. Symbols are its ids by stream; their level is 0.

    Raises InputError for a tokenizer of something else than pictures in RGB, and for one that decodes to something else.
    """

    def __init__(self, tokenizer: DiscreteTokenizer) -> None:
        super().__init__()
        if tokenizer.takes != "rgb":
            raise InputError(f"{tokenizer.name} takes {tokenizer.takes}, not photographs: it makes no .tkd files; load it and call encode")
        if tokenizer.gives:
            raise InputError(f"{tokenizer.name} decodes to {tokenizer.gives}, not pictures: it makes no .tkd files; use files of tokens")
        self.tokenizer = tokenizer
        self.name, self.bytes_per_pixel, self.stride = tokenizer.name, tokenizer.bytes_per_pixel, tokenizer.stride
        self.fingerprint = self._fingerprint()

    def forward(self, x: Pixels, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """Terms of each item: ``mse`` (RGB in [0, 1]) as the codec does it, and ``bpp``, the ideal rate of the payload."""
        symbols = self.symbols(x, quality)
        pixels = self.synthesise(symbols)
        bpp = (self.estimate(symbols) / (x.shape[2] * x.shape[3])).float().to(x.device)
        return Output(pixels=pixels, terms={"mse": (pixels - x).square().flatten(1).mean(1), "bpp": bpp})

    # --- the four stages

    def symbols(self, x: Pixels, quality: float | Float[Tensor, " b"] | None = None) -> Symbols:
        """The ids of pictures in [0, 1]. Raises InputError for a quality that the tokenizer does not take."""
        return self.symbols_of(self.tokenizer.encode(x, quality=quality))

    @staticmethod
    def symbols_of(tokens: Tokens) -> Symbols:
        """Tokens of the tokenizer, as it encodes them, as symbols."""
        values = {name: _lattice(stream) for name, stream in tokens.streams.items()}
        (*_, stream) = tokens.streams.values()
        none = torch.zeros(len(tokens), dtype=torch.int64, device=stream.ids.device)
        return Symbols(values=values, level=none if stream.lengths is None else stream.lengths, size=tokens.size)

    def write(self, symbols: Symbols) -> list[bytes]:
        """One payload an item, the shorter of both ways."""
        return [self._write(symbols[i : i + 1]) for i in range(len(symbols))]

    def _write(self, one: Symbols) -> bytes:
        sections = self._sections(one.size)
        ids = [values[0, k].flatten().cpu().numpy() for values in one.values.values() for k in range(values.shape[1])]
        plain = bytes((PLAIN,)) + flat.pack(ids, [section.size for section in sections])
        if self._coder is None:
            return plain
        return min(plain, bytes((PRIOR,)) + self._coder.encode(self._joint(one)[0]), key=len)

    def check(self, payload: bytes, size: tuple[int, ...]) -> None:
        """Raise CorruptFile if ``payload`` cannot hold the ids of a picture of ``size``."""
        if not payload:
            raise CorruptFile("an empty payload does not say how its ids are written")
        if payload[0] == PLAIN:
            wanted = flat.length(self._sections(size))
            if len(payload) - 1 != wanted:
                raise CorruptFile(f"{len(payload) - 1} bytes of plain ids where there must be {wanted}: wrong size or damaged")
        elif payload[0] == PRIOR and self._coder is not None:
            self._coder.check(len(payload) - 1, self._grid(size))
        else:
            raise CorruptFile(f"ids written in way {payload[0]}, which {self.name} does not have: damaged, or another version's")

    def read(self, data: Sequence[bytes], size: tuple[int, ...]) -> Symbols:
        """The symbols of payloads of pictures of ``size`` (h, w). Raises CorruptFile."""
        items = [self._read(payload, size) for payload in data]
        device = next(self.parameters()).device
        values = {name: torch.cat([item[name] for item in items]).to(device) for name in items[0]}
        return Symbols(values=values, level=torch.zeros(len(data), dtype=torch.int64, device=device), size=size)

    def _read(self, payload: bytes, size: tuple[int, ...]) -> Mapping[str, Int32[Tensor, "1 k h w"]]:
        self.check(payload, size)
        if payload[0] == PRIOR:
            assert self._coder is not None
            found = self._parts(self._coder.decode(payload[1:], self._grid(size)))
        else:
            found = flat.unpack(payload[1:], self._sections(size))
        ids = iter(found)
        return {
            name: torch.from_numpy(np.stack([next(ids) for _ in range(shape[1])]).astype(np.int32)).view(shape)
            for name, shape in ((name, _lattice(stream).shape) for name, stream in self.tokenizer.blank(size).streams.items())
        }

    def synthesise(self, symbols: Symbols) -> Pixels:
        """Pictures in [0, 1] of the size that was encoded."""
        blank = self.tokenizer.blank(symbols.size)
        streams = {
            name: replace(stream, ids=_ids(symbols.values[name], stream.ids.shape[1:], stream.axes), lengths=self._lengths(symbols))
            for name, stream in blank.streams.items()
        }
        return self.tokenizer.decode(Tokens(streams=streams, size=symbols.size))

    def estimate(self, symbols: Symbols) -> Float[Tensor, " b"]:
        """Ideal bits of each payload, its first byte included, under the way that is ideally the shorter."""
        plain = 8.0 + float(self.tokenizer.blank(symbols.size).bits[0])
        if self._coder is None:
            return torch.full((len(symbols),), plain, dtype=torch.float64)
        return torch.tensor([min(plain, 8 + self._coder.bits(ids)) for ids in self._joint(symbols)], dtype=torch.float64)

    # ---

    @cached_property
    def _coder(self) -> IdCoder | None:
        """Under the trained prior of the only lattice, if there is one."""
        prior = self._prior
        return IdCoder(prior.frozen()) if isinstance(prior, IdPrior) and int(prior.trained) else None

    @property
    def _prior(self) -> nn.Module | None:
        return next((module for module in self.tokenizer.children() if isinstance(module, IdPrior)), None)

    def _joint(self, symbols: Symbols) -> Int[np.ndarray, "b h w"]:
        """As a prior sees them: one number a place."""
        (values,) = symbols.values.values()
        return joined(values.movedim(1, -1), self._vocab).cpu().numpy()

    def _parts(self, numbers: Int[np.ndarray, "h w"]) -> list[Int[np.ndarray, "h w"]]:
        """The inverse, codebook by codebook."""
        return list(parted(torch.from_numpy(numbers), self._vocab).movedim(-1, 0).numpy())

    @property
    def _vocab(self) -> tuple[int, ...]:
        (stream,) = self.tokenizer.blank((self.stride, self.stride)).streams.values()
        return stream.vocab

    def _grid(self, size: tuple[int, ...]) -> tuple[int, int]:
        (stream,) = self.tokenizer.blank(size).streams.values()
        return stream.ids.shape[1], stream.ids.shape[2]

    def _lengths(self, symbols: Symbols) -> Int[Tensor, " b"] | None:
        """How many ids each item has, where that varies."""
        return None

    def _sections(self, size: tuple[int, ...]) -> list[Section]:
        """How many ids of which vocabulary, stream by stream, codebook by codebook."""
        return [
            Section(count=_lattice(stream)[0, 0].numel(), size=vocab)
            for stream in self.tokenizer.blank(size).streams.values()
            for vocab in stream.vocab
        ]

    def _fingerprint(self) -> bytes:
        """Of what decides ids, and of the prior, if there is one."""
        return storage.fingerprint(self.tokenizer.fingerprint, self._prior.state_dict() if self._prior is not None else {})

    @cached_property
    def pictures_fingerprint(self) -> bytes:
        """Of all that decides what a file looks like decoded: several decoders may share :attr:`fingerprint`."""
        behind = {name: t for name, t in self.tokenizer.state_dict().items() if not self.tokenizer.decides_ids(name)}
        return storage.fingerprint(self.fingerprint, behind)


def _lattice(stream: Stream) -> Int32[Tensor, "b k h w"]:
    """Ids with their codebooks first, over two axes: of (t, h, w) the first two are one, of (n) there is one row."""
    ids = stream.ids if stream.axes[-1] == "k" else stream.ids[..., None]
    return ids.reshape(ids.shape[0], -1, *ids.shape[-2:]).permute(0, 3, 1, 2).to(torch.int32)


def _ids(values: Int32[Tensor, "b k h w"], shape: Sequence[int], axes: tuple[str, ...]) -> Int[Tensor, "b ..."]:
    """The inverse of :func:`_lattice`."""
    ids = values.permute(0, 2, 3, 1).to(torch.int64)
    return ids.reshape(values.shape[0], *shape) if axes[-1] == "k" else ids[..., 0].reshape(values.shape[0], *shape)
