"""The codec of a row of ids that goes from coarse to fine: in a file layer by layer.

    ids (n) ── 1, 2, 4, ... of each window ── each range, plain or under the prior ══ P P P ...
    the first P ... ══ ids (fewer) ── tokenizer.decode ──> x_hat

What is cut behind a layer is a file of fewer ids. Plain ids have exactly one length, and a range is written under the tokenizer's prior
(:mod:`tokodec.entropy.rowcoder`), if it has a trained one, where that is shorter: so its length says how it is written. A payload alone,
without a file around it, is a byte 2 or, under the prior, 3; how many ids there are less one (little-endian, in as many bytes as the
most there may be need); and all of them.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokodec.api import DiscreteTokenizer, Symbols
from tokodec.codecs.token import TokenCodec
from tokodec.entropy import flat
from tokodec.entropy.flat import Section
from tokodec.entropy.layerplan import Layer, LayerPlan, lengths_of
from tokodec.entropy.rowcoder import Ids, Known, RowCoder
from tokodec.entropy.rowprior import RowPrior
from tokodec.errors import CorruptFile, InputError
from tokodec.tokenizers.prefix import PrefixTokenizer
from tokodec.tokenizers.rows import mask

COUNTED, COUNTED_PRIOR = 2, 3
"""The first byte of a payload that says how many ids it has; 0 and 1 are those of :mod:`tokodec.codecs.token`."""


def codec_of(tokenizer: DiscreteTokenizer) -> TokenCodec:
    """The codec that writes the ids of a tokenizer. Raises what TokenCodec raises."""
    return PrefixCodec(tokenizer) if isinstance(tokenizer, PrefixTokenizer) else TokenCodec(tokenizer)


class PrefixCodec(TokenCodec):
    """Symbols are the ids of one stream, zeros behind those that there are; their level is how many there are."""

    tokenizer: PrefixTokenizer

    # --- prefixes

    @property
    def row(self) -> int:
        """The most ids of a window."""
        return self.tokenizer.row

    def kept(self, quality: float | None) -> int:
        """How many ids of each window a quality in [0, 1] keeps; without one all."""
        return self.row if quality is None else int(self.tokenizer.kept(torch.tensor([quality]))[0])

    def shortened(self, symbols: Symbols, k: int) -> Symbols:
        """At most the first ``k`` ids of each window, 1 or more. Raises InputError."""
        if k < 1:
            raise InputError(f"a window has 1 to {self.row} ids, not {k}")
        return self.first(symbols, k * self.tokenizer.windows_of(symbols.size))

    def first(self, symbols: Symbols, count: int) -> Symbols:
        """At most the first ``count`` ids of the picture."""
        ((name, values),) = symbols.values.items()
        level = symbols.level.clamp(max=count)
        there = mask(level, values.shape[-1])[:, None, None]
        return replace(symbols, values={name: values.where(there, 0)}, level=level)

    # --- layers

    def layers(self, one: Symbols) -> tuple[LayerPlan, list[bytes]]:
        """The plan and the payload of each layer, of one item."""
        count, windows = int(one.level), self.tokenizer.windows_of(one.size)
        ends = [min(k * windows, count) for k in lengths_of(math.ceil(count / windows))]
        plan = LayerPlan(layers=tuple(Layer(ids=end, crc=self.first(one, end).crc32()[0]) for end in ends))
        ids, sections = self._row(one), self._ranges(plan, one.size)
        starts = [0, *ends[:-1]]
        return plan, [self._range(ids[:end], start, s, windows) for start, end, s in zip(starts, ends, sections, strict=True)]

    def _range(self, ids: Ids, start: int, section: Section, windows: int) -> bytes:
        """``ids[start:]``, the shorter of both ways; more ids are never fewer bytes, in either."""
        plain = flat.pack([ids[start:]], [section.size])
        if self._row_coder is None:
            return plain
        under = self._row_coder.encode(ids, start, windows)
        return under if len(under) < len(plain) else plain

    def check_layers(self, plan: LayerPlan, payloads: Sequence[bytes], size: tuple[int, ...]) -> None:
        """Raise CorruptFile if these cannot be the first layers of a picture of ``size``; ``plan``: of all that there were."""
        (section,), least = self._sections(size), self.tokenizer.windows_of(size)
        if plan.layers[0].ids < least or plan.layers[-1].ids > section.count:
            raise CorruptFile(
                f"{size[1]} x {size[0]} pixels have {least} to {section.count} ids; the plan of layers begins with {plan.layers[0].ids} "
                f"and ends with {plan.layers[-1].ids}: it is damaged"
            )
        for number, (there, payload) in enumerate(zip(self._ranges(plan.first(len(payloads)), size), payloads, strict=True), 1):
            wanted = flat.length([there])
            if len(payload) != wanted and (self._row_coder is None or len(payload) > wanted):
                raise CorruptFile(f"layer {number} has {len(payload)} bytes for {there.count} plain ids of {wanted}: damaged")

    def read_layers(self, plan: LayerPlan, payloads: Sequence[bytes], size: tuple[int, ...]) -> Symbols:
        """The symbols of the first layers, as many as ``payloads``. Raises CorruptFile, also where one is not what was encoded."""
        self.check_layers(plan, payloads, size)
        there = plan.first(len(payloads))
        ids, windows = np.empty(0, np.int64), self.tokenizer.windows_of(size)
        for payload, section in zip(payloads, self._ranges(there, size), strict=True):
            ids = np.concatenate([ids, self._read_range(payload, ids, section, windows)])
        symbols = self._symbols([ids], size)
        for number, layer in enumerate(there.layers, 1):
            if self.first(symbols, layer.ids).crc32() != [layer.crc]:
                raise CorruptFile(
                    f"the decoded symbols of layer {number} are not those that were encoded (their CRC-32 differs): no picture"
                )
        return symbols

    def _read_range(self, data: bytes, known: Known, section: Section, windows: int) -> Ids:
        """The inverse of :meth:`_range`: the ids behind those that are known."""
        if self._row_coder is None or len(data) == flat.length([section]):
            return flat.unpack(data, [section])[0]
        return self._row_coder.decode(data, known, section.count, windows)

    def _ranges(self, plan: LayerPlan, size: tuple[int, ...]) -> list[Section]:
        (section,) = self._sections(size)
        return [Section(count=count, size=section.size) for count in plan.counts]

    # --- payloads alone

    def _write(self, one: Symbols) -> bytes:
        (section,), count = self._sections(one.size), int(one.level)
        there = Section(count=count, size=section.size)
        coded = self._range(self._row(one), 0, there, self.tokenizer.windows_of(one.size))
        way = COUNTED if len(coded) == flat.length([there]) else COUNTED_PRIOR
        return bytes((way,)) + (count - 1).to_bytes(_count_bytes(section), "little") + coded

    def check(self, payload: bytes, size: tuple[int, ...]) -> None:
        self._counted(payload, size)

    def read(self, data: Sequence[bytes], size: tuple[int, ...]) -> Symbols:
        (section,), windows, none = self._sections(size), self.tokenizer.windows_of(size), np.empty(0, np.int64)
        start = 1 + _count_bytes(section)
        return self._symbols([self._read_range(p[start:], none, self._counted(p, size), windows) for p in data], size)

    def estimate(self, symbols: Symbols) -> Float[Tensor, " b"]:
        (section,) = self._sections(symbols.size)
        plain = symbols.level.double().cpu() * math.log2(section.size)
        if self._row_coder is not None:
            windows = self.tokenizer.windows_of(symbols.size)
            under = [self._row_coder.bits(self._row(symbols[i : i + 1]), windows) for i in range(len(symbols))]
            plain = plain.minimum(torch.tensor(under, dtype=torch.float64))
        return 8.0 * (1 + _count_bytes(section)) + plain

    def _counted(self, payload: bytes, size: tuple[int, ...]) -> Section:
        """The ids that a payload says it has. Raises CorruptFile."""
        (section,), least = self._sections(size), self.tokenizer.windows_of(size)
        width = _count_bytes(section)
        if payload[:1] not in self._ways:
            raise CorruptFile(f"a payload of {self.name} does not begin with {payload[:1].hex() or 'nothing'}: damaged, or another model's")
        there = Section(count=1 + int.from_bytes(payload[1 : 1 + width], "little"), size=section.size)
        rest, wanted = len(payload) - 1 - width, flat.length([there]) if there.count <= section.count else 0
        if not least <= there.count <= section.count or (rest != wanted if payload[0] == COUNTED else not 0 <= rest < wanted):
            raise CorruptFile(f"{len(payload) - 1} bytes of {there.count} ids, of {least} to {section.count}: wrong size or damaged")
        return there

    @property
    def _ways(self) -> tuple[bytes, ...]:
        """What a payload may begin with."""
        return (bytes((COUNTED,)),) if self._row_coder is None else (bytes((COUNTED,)), bytes((COUNTED_PRIOR,)))

    # ---

    @cached_property
    def _row_coder(self) -> RowCoder | None:
        return None if self._prior is None else RowCoder(self._prior.frozen())

    @property
    def _prior(self) -> RowPrior | None:
        """Of the tokenizer, if it is trained."""
        found = (module for module in self.tokenizer.children() if isinstance(module, RowPrior))
        return next((prior for prior in found if int(prior.trained)), None)

    def _row(self, one: Symbols) -> Ids:
        """The ids of one item that there are."""
        (values,) = one.values.values()
        return values.flatten().cpu().numpy()[: int(one.level)].astype(np.int64)

    def _symbols(self, rows: Sequence[Int[np.ndarray, "..."]], size: tuple[int, ...]) -> Symbols:
        """Of rows of ids of several lengths."""
        ((name, stream),) = self.tokenizer.blank(size).streams.items()
        most, device = stream.ids.shape[1], next(self.parameters()).device
        values = torch.from_numpy(np.stack([np.pad(row, (0, most - len(row))) for row in rows]).astype(np.int32))
        return Symbols(
            values={name: values[:, None, None].to(device)}, level=torch.tensor([len(row) for row in rows], device=device), size=size
        )

    def _lengths(self, symbols: Symbols) -> Int[Tensor, " b"] | None:
        return symbols.level


def _count_bytes(most: Section) -> int:
    """In so many bytes it is said how many ids there are, less one."""
    return max(1, ((most.count - 1).bit_length() + 7) // 8)
