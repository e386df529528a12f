"""Filling pictures and latents up to a multiple."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def padded(x: Float[Tensor, "b c h w"], multiple: int) -> Float[Tensor, "b c h2 w2"]:
    """The last row and column repeated until both sides are multiples."""
    bottom, right = -x.shape[2] % multiple, -x.shape[3] % multiple
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x
