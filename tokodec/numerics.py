"""How transforms compute. What decides bits or ids is exact under every profile and does not depend on this."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor


class Numerics(ABC):
    """A profile: entered around every transform of a model."""

    @abstractmethod
    def transforms(self, device: torch.device) -> AbstractContextManager[None]:
        """A context in which transforms run."""

    @abstractmethod
    def choice(self, quick: Callable[[], Tensor], settled: Callable[[], Tensor]) -> Tensor:
        """What is chosen from transforms' results: ``quick``, or ``settled``, which no circumstance changes."""


class Stable(Numerics):
    """float32 throughout, no TF32, deterministic algorithms: the default."""

    @contextmanager
    def transforms(self, device: torch.device) -> Generator[None]:
        cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
        tf32 = matmul.allow_tf32
        matmul.allow_tf32 = False
        try:
            with torch.autocast(device.type, enabled=False), cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False):
                yield
        finally:
            matmul.allow_tf32 = tf32

    def choice(self, quick: Callable[[], Tensor], settled: Callable[[], Tensor]) -> Tensor:
        return settled()


class Fast(Numerics):
    """Convolutions in bfloat16: half the time on processors with instructions for it (benchmarks/README.md)."""

    @contextmanager
    def transforms(self, device: torch.device) -> Generator[None]:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            yield

    def choice(self, quick: Callable[[], Tensor], settled: Callable[[], Tensor]) -> Tensor:
        return quick()


PROFILES: Mapping[str, type[Numerics]] = {"stable": Stable, "fast": Fast}
