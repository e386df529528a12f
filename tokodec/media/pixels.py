"""Between bytes and floats. ``to_uint8`` is the one place in tokodec that rounds pixels."""

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor


def to_unit(rgb: NDArray[np.uint8]) -> Float[Tensor, "1 c h w"]:
    """uint8 (h, w, c) as float32 in [0, 1], contiguous."""
    planar = np.array(rgb.transpose(2, 0, 1), order="C")  # always a copy: torch must not see read-only memory
    return torch.from_numpy(planar)[None].to(torch.float32).div_(255)


def to_uint8(x: Float[Tensor, "b c h w"]) -> NDArray[np.uint8]:
    """Floats as uint8 (b, h, w, c): clamped to [0, 1], times 255, rounded half to even. NaN becomes 0.

    Half precision is widened to float32 first; float32 and float64 are multiplied as they are.
    """
    wide = x.detach().to(torch.float64 if x.dtype == torch.float64 else torch.float32)
    scaled = wide.clamp(0, 1).mul_(255).round_().nan_to_num_(0.0)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
