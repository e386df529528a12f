"""Several processes as one: who takes which pieces of a step, and the sum of their gradients."""

import os
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tokodec.errors import InputError


class World:
    """This process among those that torchrun started; alone without it."""

    def __init__(self, device: torch.device) -> None:
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        if self.size > 1:
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")

    def share(self, pieces: int) -> range:
        """The pieces of a step that are this process's. Raises InputError when they cannot be shared evenly."""
        if pieces % self.size:
            raise InputError(f"{pieces} pieces a step (batch / micro_batch) cannot be shared by {self.size} processes")
        each = pieces // self.size
        return range(self.rank * each, (self.rank + 1) * each)

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum every gradient over all processes, in one message."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def add(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def close(self) -> None:
        """Leave the group."""
        if self.size > 1:
            dist.destroy_process_group()
