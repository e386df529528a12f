"""Shared by all tests: one thread, fixed seeds, smooth little pictures."""

import pytest
import torch
from torch import Tensor

torch.set_num_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--parity-dir", metavar="DIR", help="reproduce every recorded entry of the files DIR/*.golden.json")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def picture() -> "Pictures":
    return Pictures()


class Pictures:
    """Smooth colour pictures with some texture: nothing like noise, nothing constant."""

    def __call__(self, height: int, width: int, *, batch: int = 1, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.rand(batch, 3, max(height // 12, 2), max(width // 12, 2), generator=generator)
        smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")
        return (smooth + 0.03 * torch.randn(smooth.shape, generator=generator)).clamp(0, 1)
