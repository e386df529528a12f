"""An order of a codebook in which codes that lie close together have neighbouring ids.

What predicts ids in two steps, a cell of codes and then a code within it, needs cells of one size that mean something.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def cluster_order(codes: Float[Tensor, "k d"], groups: int) -> Int[Tensor, " k"]:
    """Which code comes first, second, ...: ``codes[order]`` is the codebook in ``groups`` cells of ``ceil(k / groups)`` codes.

    The codes are split again and again at a place on their widest principal axis, so that both parts are whole cells; the last
    cell may be smaller. Computed in float64 on the processor, a function of the codes alone.
    """
    cell = -(-len(codes) // groups)
    return torch.cat(_split(codes.detach().cpu().double(), torch.arange(len(codes)), cell)).to(codes.device)


def _split(codes: Float[Tensor, "k d"], members: Int[Tensor, " n"], cell: int) -> list[Int[Tensor, " m"]]:
    """``members`` in order, cell by cell; within a cell along its widest axis."""
    if len(members) < 2:
        return [members]
    members = members[torch.argsort(_along_widest(codes[members]), stable=True)]
    cells = -(-len(members) // cell)
    if cells == 1:
        return [members]
    left = cells // 2 * cell
    return _split(codes, members[:left], cell) + _split(codes, members[left:], cell)


def _along_widest(codes: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """Places along the first principal axis."""
    centred = codes - codes.mean(0)
    axis = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -1]
    return centred @ (axis * torch.sign(axis[axis.abs().argmax()]))
