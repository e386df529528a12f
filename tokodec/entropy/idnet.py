"""The net behind a prior over ids, in floats, for training.

    code vectors of known neighbours ── one layer a pass ── one layer ──> h ──> W h + w             which cell of codes
                                                                          └───> v = V h + v_0
                                            b_id + <features of the code vector, v>                 which code in the cell

An id is a cell and a place in it: ``divmod(id, fine)``. ``b`` and ``w`` alone are any distribution over single ids. The
features of a code vector are its coordinates and the products of any two: with them the second step is a Gaussian whose mean
and covariance are predicted, taken at the codes.
"""

import math
from itertools import combinations_with_replacement

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.entropy.schedule import MARGIN, PASSES, Pass

CODE_MAX = 7
"""Code vectors are seen in integers of 4 bits, -7..7."""
KNOWN = 3
"""What stands beside the vector of a neighbour that is known, in the same units; 0 beside one outside the lattice."""


def whole(codes: Float[Tensor, "k d"]) -> Float[Tensor, "k d"]:
    """Code vectors as integers -CODE_MAX..CODE_MAX, all in one unit: CODE_MAX is a size that one coordinate in a thousand exceeds."""
    size = codes.detach().double().abs().flatten().sort().values
    reach = size[math.ceil(0.999 * (size.numel() - 1))].clamp(min=1e-9)
    return (codes.detach().double() * (CODE_MAX / reach)).round().clamp(-CODE_MAX, CODE_MAX).float()


def features(codes: Float[Tensor, "k d"]) -> Float[Tensor, "k f"]:
    """The coordinates of whole code vectors and the products of any two of them: integers up to CODE_MAX ** 2."""
    first, second = zip(*combinations_with_replacement(range(codes.shape[1]), 2), strict=True)
    return torch.cat([codes, codes[:, list(first)] * codes[:, list(second)]], 1)


def units(dim: int) -> list[float]:
    """What brings each feature to about one."""
    return [1 / KNOWN] * dim + [1 / KNOWN**2] * (dim * (dim + 1) // 2)


class IdNet(nn.Module):
    """Logits, in nats, of the cell and of the code in it, at every place of a lattice."""

    def __init__(self, *, coarse: int, fine: int, dim: int, width: int) -> None:
        super().__init__()
        self.first = nn.ModuleList(nn.Conv2d(len(p.taps) * (dim + 1) + 1, width, 1) for p in PASSES)
        self.second = nn.Conv2d(width, width, 1)
        self.coarse = nn.Conv2d(width, coarse, 1)
        self.query = nn.Conv2d(width, len(units(dim)), 1)
        self.fine = nn.Parameter(torch.zeros(coarse, fine))
        # Start: every id is equally likely.
        for last in (self.coarse, self.query):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def forward(self, ids: Int[Tensor, "b gh gw"], codes: Float[Tensor, "k d"]) -> Float[Tensor, " b"]:
        """Bits that an id costs on average, for each item. ``codes``: whole ones."""
        cells, size = self.fine.shape
        h = F.relu(self.second(F.relu(self.inner(ids, codes))))
        known = torch.cat([part.flatten(1) for _, part in _parts(ids)], 1)
        cell = torch.div(known, size, rounding_mode="floor")
        nats = F.cross_entropy(self.coarse(h).squeeze(3), cell, reduction="none")
        table = features(codes) * torch.tensor(units(codes.shape[1]), device=codes.device)
        table = F.pad(table, (0, 0, 0, cells * size - len(codes))).view(cells, size, -1)
        logits = self.fine[cell] + torch.einsum("bnkf,bfn->bnk", table[cell], self.query(h).squeeze(3))
        nats = nats + F.cross_entropy(logits.transpose(1, 2), known % size, reduction="none")
        return nats.mean(1) / math.log(2)

    def inner(self, ids: Int[Tensor, "b gh gw"], codes: Float[Tensor, "k d"]) -> Float[Tensor, "b c n 1"]:
        """Sums of the first layer at every place, pass by pass."""
        vectors = F.embedding(ids, codes).movedim(-1, 1)
        lattice = F.pad(torch.cat([vectors, torch.full_like(vectors[:, :1], KNOWN)], 1) / KNOWN, (MARGIN,) * 4)
        sums = [self.first[i](_context(lattice, PASSES[i], part.shape[1:])).flatten(2) for i, part in _parts(ids)]
        return torch.cat(sums, 2)[..., None]


def _parts(ids: Int[Tensor, "b gh gw"]) -> list[tuple[int, Int[Tensor, "b rows columns"]]]:
    """The ids of every pass that has any, and its number."""
    parts = [ids[:, p.row :: p.spacing, p.column :: p.spacing] for p in PASSES]
    return [(i, part) for i, part in enumerate(parts) if part.shape[1] and part.shape[2]]


def _context(lattice: Float[Tensor, "b c h2 w2"], p: Pass, shape: torch.Size) -> Float[Tensor, "b n rows columns"]:
    """What the places of a pass look at, tap by tap; then a constant."""
    rows, columns = (MARGIN + start for start in (p.row, p.column))
    seen = [lattice[:, :, rows + y :: p.spacing, columns + x :: p.spacing][:, :, : shape[0], : shape[1]] for y, x in p.taps]
    return torch.cat([*seen, lattice.new_ones(lattice.shape[0], 1, *shape)], 1)
