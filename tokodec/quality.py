"""What is asked of models of many rates."""

import torch
from jaxtyping import Float
from torch import Tensor

from tokodec.errors import InputError


def qualities_of(quality: float | Float[Tensor, " b"] | None, x: Float[Tensor, "b ..."]) -> Float[Tensor, " b"]:
    """One quality an item. Raises InputError where one is missing or out of range."""
    if quality is None:
        raise InputError("this model has a variable rate: give a quality in [0, 1]")
    q = torch.as_tensor(quality, dtype=torch.float32, device=x.device).expand(x.shape[0])
    if not bool(((q >= 0) & (q <= 1)).all()):
        raise InputError(f"quality {quality} is not in [0, 1]")
    return q
