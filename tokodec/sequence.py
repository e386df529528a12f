"""A lattice of ids as one sequence for a language model, and back: pure functions of tensors.

Places follow each other row by row, codebooks lie innermost. Every codebook has a range of its own: codebook k of vocabularies
v_0, v_1, ... begins at ``offset + v_0 + ... + v_{k-1}``. A separator may close every row of a lattice over (..., h, w).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor

from tokodec.errors import InputError


def starts(vocab: tuple[int, ...], offset: int) -> list[int]:
    """Where the range of each codebook begins."""
    return list(accumulate(vocab[:-1], initial=offset))


def flatten(
    ids: Int[Tensor, "*lattice"], axes: tuple[str, ...], vocab: tuple[int, ...], offset: int, separator: int | None
) -> Int[Tensor, " n"]:
    """One item's ids, ``axes`` as a stream names them."""
    places = ids if axes[-1] == "k" else ids[..., None]
    shifted = places + torch.tensor(_spread(starts(vocab, offset), places.shape[-1]), device=ids.device)
    if separator is None:
        return shifted.flatten()
    rows = shifted.flatten(-2).flatten(0, -2) if _has_rows(axes) else shifted.reshape(1, -1)
    return F.pad(rows, (0, 1), value=separator).flatten()


def unflatten(
    sequence: Int[Tensor, " n"],
    shape: tuple[int, ...],
    axes: tuple[str, ...],
    vocab: tuple[int, ...],
    offset: int,
    separator: int | None,
) -> Int[Tensor, "*lattice"]:
    """The inverse, for a lattice of ``shape``. Raises InputError saying what does not fit."""
    codebooks = shape[-1] if axes[-1] == "k" else 1
    if separator is not None:
        sequence = _without(sequence, _row_length(shape, axes) + 1, separator)
    if sequence.numel() != math.prod(shape):
        raise InputError(f"a lattice of {' x '.join(map(str, shape))} has {math.prod(shape)} ids, the sequence has {sequence.numel()}")
    first = starts(vocab, offset)
    places = sequence.view(-1, codebooks) - torch.tensor(_spread(first, codebooks), device=sequence.device)
    sizes = torch.tensor(_spread(list(vocab), codebooks), device=sequence.device)
    wrong = ((places < 0) | (places >= sizes)).nonzero()
    if len(wrong):
        place, codebook = wrong[0].tolist()
        low = _spread(first, codebooks)[codebook]
        value, high = int(sequence.view(-1, codebooks)[place, codebook]), low + int(sizes[codebook]) - 1
        raise InputError(f"id {value} at place {place * codebooks + codebook} is not one of {low} to {high}")
    return places.reshape(shape)


def _spread(values: list[int], count: int) -> list[int]:
    """One value for each codebook of a place."""
    return values if len(values) == count else values * count


def _has_rows(axes: tuple[str, ...]) -> bool:
    return "h" in axes


def _row_length(shape: tuple[int, ...], axes: tuple[str, ...]) -> int:
    if not _has_rows(axes):
        return math.prod(shape)
    return math.prod(shape[axes.index("w") :])


def _without(sequence: Int[Tensor, " n"], period: int, separator: int) -> Int[Tensor, " m"]:
    """Without the separators that must stand at the end of every ``period`` ids."""
    if sequence.numel() % period:
        raise InputError(f"a sequence of {sequence.numel()} ids is not made of whole rows of {period - 1} and a separator")
    rows = sequence.view(-1, period)
    wrong = (rows[:, -1] != separator).nonzero()
    if len(wrong):
        row = int(wrong[0])
        raise InputError(f"row {row} ends with {int(rows[row, -1])} instead of the separator {separator}")
    return rows[:, :-1].reshape(-1)


@dataclass(frozen=True, kw_only=True)
class Packed:
    """Sequences of several lengths one after another, as attention over packed sequences takes them.

    Sequence i is ``ids[cu_seqlens[i] : cu_seqlens[i + 1]]``; ``cu_seqlens`` is int32. ``longest``: the most ids of one.
    """

    ids: Int[Tensor, " total"]
    cu_seqlens: Int[Tensor, " starts"]
    longest: int


def pack(sequences: Sequence[Int[Tensor, " n"]]) -> Packed:
    """Sequences as one, without filling up: what ``Tokens.flatten`` gives, say. Raises InputError where there is none."""
    if not sequences:
        raise InputError("there are no sequences to pack")
    lengths = torch.tensor([0, *(len(s) for s in sequences)], dtype=torch.int32, device=sequences[0].device)
    return Packed(ids=torch.cat(list(sequences)), cu_seqlens=lengths.cumsum(0, dtype=torch.int32), longest=int(lengths.max()))


def unpack(packed: Packed) -> list[Int[Tensor, " n"]]:
    """The inverse of :func:`pack`. Raises InputError for starts that do not divide the ids."""
    starts = packed.cu_seqlens.tolist()
    lengths = [b - a for a, b in pairwise(starts)]
    if starts[:1] != [0] or starts[-1] != len(packed.ids) or min(lengths, default=0) < 0:
        raise InputError(f"starts from 0 to {len(packed.ids)} divide as many ids; these are {starts[:8]}")
    return list(packed.ids.split(lengths))
