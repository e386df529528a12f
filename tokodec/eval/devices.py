"""Where models run in a benchmark: one device, or all GPUs that there are."""

import torch

from tokodec.machine import device_of


def devices(named: str) -> tuple[str, ...]:
    """Of ``cpu``, ``cuda:1`` ... that one; of ``cuda`` every one there is, to be dealt out to processes in turn. Raises InputError."""
    kind = device_of(named)
    if kind.type == "cuda" and ":" not in named:
        return tuple(f"cuda:{i}" for i in range(torch.cuda.device_count()))
    return (str(kind),)
