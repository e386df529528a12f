"""Weights in bfloat16, kept for the next call: autocast makes them anew every time, a tenth of the time of a single picture."""

import torch
from torch import Tensor

from tokodec.nn.version import version


class Halved:
    """The weight of a layer in what autocast computes in, and, for kernels, channels last; made again when it has changed."""

    def __init__(self) -> None:
        self._made_of: object = None
        self._copy: Tensor | None = None

    def of(self, weight: Tensor) -> Tensor:
        """The kept copy where autocast would make one for inference on a processor, else the weight itself.

        A weight that can still learn is never kept: fused optimisers change it without a trace.
        """
        kind = weight.device.type
        if kind != "cpu" or weight.requires_grad or torch.is_grad_enabled() or not torch.is_autocast_enabled(kind):
            return weight
        dtype = torch.get_autocast_dtype(kind)
        now = (version(weight), dtype)
        if self._copy is None or now != self._made_of:
            layout = torch.channels_last if weight.ndim == 4 else torch.contiguous_format
            self._copy, self._made_of = weight.detach().to(dtype).contiguous(memory_format=layout), now
        return self._copy
