"""Ids as one number: what they cost when all are equally likely, and not a bit more.

A vocabulary is 2^e * o with an odd o. The lowest e bits of every id are written as they are. What is left are digits in
base o; they would be one number of thousands of digits, which no processor multiplies quickly. So digits are combined to
numbers below 2^32, and these in pairs to numbers below 2^64, whose lowest bits are written and whose upper ones, again
numbers below 2^32, are combined in pairs, and so on. Each pair loses less than 2^-30 of a bit. Numbers that are left without
a partner, a few in all, are combined exactly.

docs/format.md gives the order of the bits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from jaxtyping import Int, Integer, UInt8

from tokodec.errors import CorruptFile

_HALF = 32
Ids = Int[np.ndarray, " n"]
_Numbers = Integer[np.ndarray, " m"]
_Bits = UInt8[np.ndarray, " bits"]


@dataclass(frozen=True, kw_only=True)
class Section:
    """``count`` ids in ``range(size)``."""

    count: int
    size: int


def pack(ids: Sequence[Ids], sizes: Sequence[int]) -> bytes:
    """The bytes of several sequences of ids, each with its vocabulary."""
    bits: list[_Bits] = []
    rest: list[tuple[int, int]] = []
    for values, size in zip(ids, sizes, strict=True):
        plan = _plan(Section(count=len(values), size=size))
        bits.append(_to_bits(values.astype(np.uint64) & np.uint64((1 << plan.low) - 1), plan.low))
        numbers = _combined(values.astype(np.uint64) >> np.uint64(plan.low), plan, rest)
        for radix, count in plan.steps[:-1]:
            pairs = numbers[: count // 2 * 2].reshape(-1, 2)
            pair, drop = pairs[:, 0] + np.uint64(radix) * pairs[:, 1], _drop(radix)
            bits.append(_to_bits(pair & np.uint64((1 << drop) - 1), drop))
            rest += [(int(n), radix) for n in numbers[count // 2 * 2 :]]
            numbers = pair >> np.uint64(drop)
        rest += [(int(n), plan.steps[-1][0]) for n in numbers]
    root = 0
    for number, radix in reversed(rest):
        root = root * radix + number
    width = (prod(radix for _, radix in rest) - 1).bit_length()
    tail = np.frombuffer(root.to_bytes(-(-width // 8), "little"), np.uint8)
    bits.append(np.unpackbits(tail, count=width, bitorder="little"))
    return np.packbits(np.concatenate(bits), bitorder="little").tobytes()


def length(sections: Sequence[Section]) -> int:
    """How many bytes :func:`pack` makes. Costs next to nothing, whatever the number of ids."""
    plans = [_plan(section) for section in sections]
    bits = sum(section.count * plan.low for section, plan in zip(sections, plans, strict=True))
    bits += sum(count // 2 * _drop(radix) for plan in plans for radix, count in plan.steps[:-1])
    bits += (prod(radix for plan in plans for radix in plan.rest) - 1).bit_length()
    return -(-bits // 8)


def unpack(data: bytes, sections: Sequence[Section]) -> list[Ids]:
    """The inverse of :func:`pack`. Raises CorruptFile for bytes that it does not make."""
    if len(data) != length(sections):
        raise CorruptFile(f"{len(data)} bytes of plain ids where there must be {length(sections)}: wrong size or damaged")
    cursor = _Cursor(np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little"))
    parts: list[tuple[_Plan, _Numbers, list[_Numbers]]] = []
    for section in sections:
        plan = _plan(section)
        low = cursor.take(section.count, plan.low)
        parts.append((plan, low, [cursor.take(count // 2, _drop(radix)) for radix, count in plan.steps[:-1]]))
    root = int.from_bytes(np.packbits(cursor.rest(), bitorder="little").tobytes(), "little")
    found: list[Ids] = []
    for plan, low, fields in parts:
        rest: list[int] = []
        for radix in plan.rest:
            root, number = divmod(root, radix)
            rest.append(number)
        found.append((_digits(plan, fields, rest) << np.uint64(plan.low) | low).astype(np.int64))
    if root:
        raise CorruptFile("plain ids are damaged: what is left over is not zero")
    return found


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """How a section is written: ``low`` bits of each id, then ``group`` digits to a number, then ``steps`` of (radix, count)."""

    low: int
    base: int
    group: int
    alone: int
    """Digits that do not fill a group."""
    steps: tuple[tuple[int, int], ...]

    @property
    def rest(self) -> list[int]:
        """The radices of numbers without a partner, in their order."""
        return [self.base**self.alone] * (self.alone > 0) + [radix for radix, count in self.steps if count % 2]


def _plan(section: Section) -> _Plan:
    low = (section.size & -section.size).bit_length() - 1
    base = section.size >> low
    group = next(g for g in range(1, _HALF) if base ** (g + 1) > 1 << _HALF) if base > 1 else 1
    steps = tuple(_steps(base**group, section.count // group if base > 1 else 0))
    return _Plan(low=low, base=base, group=group, alone=section.count % group if base > 1 else 0, steps=steps)


def _steps(radix: int, count: int) -> Iterator[tuple[int, int]]:
    while count > 1:
        yield radix, count
        radix, count = -(-radix * radix >> _drop(radix)), count // 2
    yield radix, count


def _drop(radix: int) -> int:
    """Bits of a pair that are written: those that a number below 2^32 has no room for."""
    return max((radix * radix - 1).bit_length() - _HALF, 0)


def _combined(digits: _Numbers, plan: _Plan, rest: list[tuple[int, int]]) -> _Numbers:
    """Whole groups as numbers; the digits that are left over go to ``rest``."""
    if plan.base == 1:
        return digits[:0]
    whole = len(digits) - plan.alone
    powers = np.array([plan.base**i for i in range(plan.group)], np.uint64)
    if plan.alone:
        rest.append((int((digits[whole:] * powers[: plan.alone]).sum()), plan.base**plan.alone))
    return (digits[:whole].reshape(-1, plan.group) * powers).sum(1, dtype=np.uint64)


def _digits(plan: _Plan, fields: Sequence[_Numbers], rest: list[int]) -> _Numbers:
    """The inverse of all that :func:`pack` does to the digits of a section."""
    if plan.base == 1:
        return np.zeros(1, np.uint64)
    numbers = np.empty(0, np.uint64)
    for (radix, count), field in zip(reversed(plan.steps), [None, *reversed(fields)], strict=True):
        if field is not None:
            pair = numbers << np.uint64(_drop(radix)) | field
            if pair.size and int(pair.max()) >= radix * radix:
                raise CorruptFile("plain ids are damaged: a number is out of its range")
            numbers = np.stack([pair % np.uint64(radix), pair // np.uint64(radix)], 1).reshape(-1)
        numbers = np.append(numbers, np.array([rest.pop()], np.uint64)) if count % 2 else numbers
    digits = [numbers // np.uint64(plan.base**i) % np.uint64(plan.base) for i in range(plan.group)]
    alone = [rest[0] // plan.base**i % plan.base for i in range(plan.alone)]
    return np.concatenate([np.stack(digits, 1).reshape(-1), np.array(alone, np.uint64)])


def _to_bits(values: _Numbers, width: int) -> _Bits:
    """``width`` bits of each value, at most 32, lowest first."""
    octets = values.astype("<u4").view(np.uint8).reshape(-1, 4)
    return np.unpackbits(octets, axis=1, count=width, bitorder="little").reshape(-1) if width else np.empty(0, np.uint8)


class _Cursor:
    """Reads fields out of a string of bits."""

    def __init__(self, bits: _Bits) -> None:
        self._bits, self._at = bits, 0

    def take(self, count: int, width: int) -> _Numbers:
        field = np.zeros((count, _HALF), np.uint8)
        field[:, :width] = self._bits[self._at : self._at + count * width].reshape(count, width)
        self._at += count * width
        return np.packbits(field, axis=1, bitorder="little").view("<u4").reshape(-1).astype(np.uint64)

    def rest(self) -> _Bits:
        return self._bits[self._at :]
