"""The codec of a row of ids that goes from coarse to fine: plain ids, in a file layer by layer.

    ids (n) ── 1, 2, 4, ... of each window ── each range as plain ids ══ P P P ...
    the first P ... ══ ids (fewer) ── tokenizer.decode ──> x_hat

What is cut behind a layer is a file of fewer ids. A payload alone, without a file around it, is a byte 2, how many ids there are
less one (little-endian, in as many bytes as the most there may be need), and all of them as plain ids.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokodec.api import DiscreteTokenizer, Symbols
from tokodec.codecs.token import TokenCodec
from tokodec.entropy import flat
from tokodec.entropy.flat import Section
from tokodec.entropy.layerplan import Layer, LayerPlan, lengths_of
from tokodec.errors import CorruptFile, InputError
from tokodec.tokenizers.prefix import PrefixTokenizer
from tokodec.tokenizers.rows import mask

COUNTED = 2
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
        (values,) = one.values.values()
        parts = np.split(values.flatten().cpu().numpy()[:count], ends[:-1])
        return plan, [flat.pack([part], [section.size]) for part, section in zip(parts, self._ranges(plan, one.size), strict=True)]

    def check_layers(self, plan: LayerPlan, payloads: Sequence[bytes], size: tuple[int, ...]) -> None:
        """Raise CorruptFile if these cannot be the first layers of a picture of ``size``; ``plan``: of all that there were."""
        (section,), least = self._sections(size), self.tokenizer.windows_of(size)
        if plan.layers[0].ids < least or plan.layers[-1].ids > section.count:
            raise CorruptFile(
                f"{size[1]} x {size[0]} pixels have {least} to {section.count} ids; the plan of layers begins with {plan.layers[0].ids} "
                f"and ends with {plan.layers[-1].ids}: it is damaged"
            )
        for number, (there, payload) in enumerate(zip(self._ranges(plan, size), payloads, strict=False), 1):
            if len(payload) != flat.length([there]):
                raise CorruptFile(f"layer {number} has {len(payload)} bytes for {there.count} plain ids of {flat.length([there])}: damaged")

    def read_layers(self, plan: LayerPlan, payloads: Sequence[bytes], size: tuple[int, ...]) -> Symbols:
        """The symbols of the first layers, as many as ``payloads``. Raises CorruptFile, also where one is not what was encoded."""
        self.check_layers(plan, payloads, size)
        there = plan.first(len(payloads))
        ranges = self._ranges(there, size)
        ids = np.concatenate([flat.unpack(payload, [section])[0] for payload, section in zip(payloads, ranges, strict=True)])
        symbols = self._symbols([ids], size)
        for number, layer in enumerate(there.layers, 1):
            if self.first(symbols, layer.ids).crc32() != [layer.crc]:
                raise CorruptFile(
                    f"the decoded symbols of layer {number} are not those that were encoded (their CRC-32 differs): no picture"
                )
        return symbols

    def _ranges(self, plan: LayerPlan, size: tuple[int, ...]) -> list[Section]:
        (section,) = self._sections(size)
        return [Section(count=count, size=section.size) for count in plan.counts]

    # --- payloads alone

    def _write(self, one: Symbols) -> bytes:
        (section,), count = self._sections(one.size), int(one.level)
        (values,) = one.values.values()
        ids = values.flatten().cpu().numpy()[:count]
        return bytes((COUNTED,)) + (count - 1).to_bytes(_count_bytes(section), "little") + flat.pack([ids], [section.size])

    def check(self, payload: bytes, size: tuple[int, ...]) -> None:
        self._counted(payload, size)

    def read(self, data: Sequence[bytes], size: tuple[int, ...]) -> Symbols:
        (section,) = self._sections(size)
        start = 1 + _count_bytes(section)
        return self._symbols([flat.unpack(payload[start:], [self._counted(payload, size)])[0] for payload in data], size)

    def estimate(self, symbols: Symbols) -> Float[Tensor, " b"]:
        (section,) = self._sections(symbols.size)
        return 8.0 * (1 + _count_bytes(section)) + symbols.level.double().cpu() * math.log2(section.size)

    def _counted(self, payload: bytes, size: tuple[int, ...]) -> Section:
        """The ids that a payload says it has. Raises CorruptFile."""
        (section,), least = self._sections(size), self.tokenizer.windows_of(size)
        width = _count_bytes(section)
        if not payload or payload[0] != COUNTED:
            raise CorruptFile(f"a payload of {self.name} begins with a byte {COUNTED}: this one is damaged, or another model's")
        there = Section(count=1 + int.from_bytes(payload[1 : 1 + width], "little"), size=section.size)
        if not least <= there.count <= section.count or len(payload) - 1 != width + flat.length([there]):
            raise CorruptFile(f"{len(payload) - 1} bytes of {there.count} plain ids, of {least} to {section.count}: wrong size or damaged")
        return there

    # ---

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
