"""Weights in bfloat16, kept for the next call: autocast makes them anew every time, a tenth of the time of a single picture."""

import torch
from torch import Tensor

from tokodec.nn.version import Kept


class Halved(Kept):
    """The weight of a layer in bfloat16, and, for kernels, channels last."""

    def __init__(self) -> None:
        super().__init__(_halved)

    def of(self, weight: Tensor) -> Tensor:
        """The kept copy where autocast would make one for inference on a processor, else the weight itself.

        A weight that can still learn is never kept: fused optimisers change it without a trace.
        """
        return super().of(weight) if halves(weight) else weight


def halves(weight: Tensor) -> bool:
    """Whether autocast computes with a weight in bfloat16, for inference on a processor."""
    if weight.device.type != "cpu" or weight.requires_grad or torch.is_grad_enabled() or not torch.is_autocast_enabled("cpu"):
        return False
    return torch.get_autocast_dtype("cpu") == torch.bfloat16


def _halved(weight: Tensor) -> Tensor:
    layout = torch.channels_last if weight.ndim == 4 else torch.contiguous_format
    return weight.detach().to(torch.bfloat16).contiguous(memory_format=layout)
