"""A prior over the ids of a row from coarse to fine: a table of logits for each digit, of which several rows are added.

Trained in floats, used in whole numbers: sums of small integers are the same everywhere. What is stored is some 50 kB for 256 ids of five
digits. What the rows stand for: :mod:`tokodec.entropy.rowcontext`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.entropy.octaves import UNITS, powers
from tokodec.entropy.prior import Prior
from tokodec.entropy.rowcontext import RowContext, parts

_LOGIT_MAX = 32_000


class FrozenRow(NamedTuple):
    """What the coder computes with: the table of each digit."""

    context: RowContext
    tables: Sequence[Int[np.ndarray, "rows symbols"]]
    powers: Int[np.ndarray, " octave"]


class RowNet(nn.Module):
    """The tables in floats, in nats. At the start all digits are equally likely."""

    def __init__(self, context: RowContext) -> None:
        super().__init__()
        self.tables = nn.ParameterList(torch.zeros(context.rows(c), n) for c, n in enumerate(context.levels))


class RowPrior(Prior):
    """``arm`` adds what training needs as ``net``, ``freeze`` takes it off again. Until then nothing is ``trained``.

    ``near`` and ``levels``: see :class:`tokodec.entropy.rowcontext.RowContext`.
    """

    trained: Tensor
    powers: Tensor

    def __init__(self, near: Int[np.ndarray, "n k"], levels: Sequence[int]) -> None:
        super().__init__()
        self.context = RowContext(near, levels)
        self.net: RowNet | None = None
        self.register_buffer("trained", torch.zeros((), dtype=torch.uint8))
        self.register_buffer("powers", powers())
        for c, n in enumerate(levels):
            self.register_buffer(f"table_{c}", torch.zeros(self.context.rows(c), n, dtype=torch.int16))

    def arm(self) -> None:
        """Add the net that is trained. A model in use has none."""
        if self.net is None:
            self.net = RowNet(self.context).to(self.powers.device).train(self.training)

    def forward(self, ids: Int[Tensor, "b n"]) -> Float[Tensor, " b"]:
        """Bits that an id of a window costs on average, for each window; gradients reach ``net`` alone."""
        assert self.net is not None, "arm() comes first"
        digits = self.context.digits(ids.T.cpu().numpy())
        nats = torch.zeros(len(ids), device=ids.device)
        for part in parts(0, digits.shape[0] * digits.shape[1], digits.shape[1]):
            rows, symbols = self.context.before(digits, part), digits[part.place, part.window]
            for c, table in enumerate(self.net.tables):
                used = np.concatenate([rows[:, c], self.context.within(symbols[:, :c], part.layer)], 1)
                logits = F.embedding(torch.from_numpy(used).to(ids.device), table).sum(1)
                cost = F.cross_entropy(logits, torch.from_numpy(symbols[:, c]).to(ids.device), reduction="none")
                nats = nats + cost.view(-1, len(ids)).sum(0)
        return nats / (ids.shape[1] * math.log(2))

    def freeze(self) -> None:
        """Carry the net over into integers and take it off."""
        assert self.net is not None, "arm() comes first"
        with torch.no_grad():
            for c, table in enumerate(self.net.tables):
                self.get_buffer(f"table_{c}").copy_((table * UNITS).round().clamp(-_LOGIT_MAX, _LOGIT_MAX).to(torch.int16))
            self.trained.fill_(1)
        self.net = None

    def frozen(self) -> FrozenRow:
        """The integers, as arrays on the processor."""
        tables = [self.get_buffer(f"table_{c}").cpu().numpy().astype(np.int64) for c in range(len(self.context.levels))]
        return FrozenRow(context=self.context, tables=tables, powers=self.powers.cpu().numpy().astype(np.int64))
