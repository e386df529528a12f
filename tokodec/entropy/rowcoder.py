"""Ids of a row from coarse to fine to bytes and back under a frozen prior: exact on any machine.

Layer by layer, digit by digit: first the first digits of all ids of a layer, then the second ones, ... Everything that decides a count is
a whole number.

Payloads are short, so the coder starts from an empty state, and bytes of zero at the end are left out: three bytes at most are lost. An
empty state gives digits for ever, so what is read must be compared with a checksum of the symbols. More ids are never fewer bytes: no
symbol makes a state smaller, and of two states the larger one stays the larger.
"""

from typing import Any

import constriction
import numpy as np
from jaxtyping import Int

from tokodec.entropy.codingtables import PRECISION
from tokodec.entropy.octaves import Counts, counts, weights
from tokodec.entropy.rowcontext import Part, parts
from tokodec.entropy.rowprior import FrozenRow
from tokodec.errors import CorruptFile

_WORD = 4

_Coder: Any = constriction.stream.stack.AnsCoder  # type: ignore[attr-defined]
_Rows: Any = constriction.stream.model.Categorical(perfect=False)  # type: ignore[attr-defined]

Ids = Int[np.ndarray, " m"]
Known = Int[np.ndarray, " k"]
_Digits = Int[np.ndarray, "n w d"]


class RowCoder:
    """See the module's docstring. ``frozen``: what a trained prior gives."""

    def __init__(self, frozen: FrozenRow) -> None:
        self._context, self._tables = frozen.context, frozen.tables
        self._weights = [weights(frozen.powers, n) for n in self._context.levels]

    def encode(self, ids: Ids, first: int, windows: int) -> bytes:
        """The bytes of ``ids[first:]``, of a picture of so many windows whose ids up to there are ``ids``."""
        digits, coder = self._digits(ids, windows), _Coder()
        for part in reversed(list(parts(first, len(ids), windows))):
            rows, symbols = self._context.before(digits, part), digits[part.place, part.window]
            for c in reversed(range(len(self._tables))):
                coder.encode_reverse(symbols[:, c].astype(np.int32), _Rows, self._counts(c, rows, symbols, part))
        return coder.get_compressed().astype("<u4").tobytes().rstrip(b"\0")

    def decode(self, data: bytes, known: Known, count: int, windows: int) -> Ids:
        """The ``count`` ids behind those that are known. Raises CorruptFile for bytes that no encoder wrote."""
        if data[-1:] == b"\0":
            raise CorruptFile("the entropy-coded ids are damaged: they end with a byte of zero")
        coder = _Coder(np.frombuffer(data + bytes(-len(data) % _WORD), "<u4").astype(np.uint32))
        digits = self._digits(np.pad(known, (0, count)), windows)
        for part in parts(len(known), len(known) + count, windows):
            rows, symbols = self._context.before(digits, part), np.zeros((len(part.place), len(self._tables)), np.int64)
            for c in range(len(self._tables)):
                symbols[:, c] = coder.decode(_Rows, self._counts(c, rows, symbols, part))
            digits[part.place, part.window] = symbols
        if not coder.is_empty():
            raise CorruptFile("the entropy-coded ids are damaged, or of another size")
        return self._context.ids(digits).flatten()[len(known) : len(known) + count]

    def bits(self, ids: Ids, windows: int) -> float:
        """The ideal length of all ids under the counts."""
        digits, total = self._digits(ids, windows), 0.0
        for part in parts(0, len(ids), windows):
            rows, symbols = self._context.before(digits, part), digits[part.place, part.window]
            for c in range(len(self._tables)):
                found = self._counts(c, rows, symbols, part)[np.arange(len(symbols)), symbols[:, c]]
                total += float((PRECISION - np.log2(found + 1)).sum())
        return total

    def _digits(self, ids: Ids, windows: int) -> _Digits:
        """Window by window; zeros where the last ids of some windows are not there."""
        whole = np.pad(ids, (0, -len(ids) % windows)).reshape(-1, windows)
        assert len(whole) <= self._context.row, "more ids than a row has"
        return self._context.digits(whole)

    def _counts(self, c: int, rows: Int[np.ndarray, "m d 5"], symbols: Int[np.ndarray, "m d"], part: Part) -> Counts:
        used = np.concatenate([rows[:, c], self._context.within(symbols[:, :c], part.layer)], 1)
        return counts(self._tables[c][used].sum(1), self._weights[c])
