"""The objective of DCVC-UF."""

import math
from typing import Any

import pytest
import torch

from tokodec.api import Output
from tokodec.losses.luma_chroma import LumaChroma
from tokodec.nn.ycbcr import rgb_of, ycbcr_of


def test_colours_come_back() -> None:
    x = torch.rand(2, 3, 4, 5)
    assert torch.allclose(rgb_of(ycbcr_of(x)), x, atol=1e-6)
    grey = ycbcr_of(torch.full((1, 3, 1, 1), 0.3))
    assert grey.flatten().tolist() == pytest.approx([0.3, 0.5, 0.5])
    assert ycbcr_of(torch.tensor([0.0, 0.0, 1.0])[None, :, None, None]).flatten().tolist() == pytest.approx([0.0722, 1.0, 0.4541529])


@pytest.mark.parametrize(("quality", "weight"), [(0.0, 10.0), (1.0, 2048.0), (0.5, math.sqrt(20480))])
def test_a_shift_of_grey_costs_luma_alone(picture: Any, quality: float, weight: float) -> None:
    """Chroma without error counts as an error of 1e-6."""
    x = picture(16, 16)
    output = Output(pixels=x + 0.1, terms={"mse": torch.tensor([0.01]), "bpp": torch.tensor([0.7])})
    geometric = math.exp(0.0833 * (10 * math.log(0.01) + 2 * math.log(1e-6)))
    expected = 0.7 + weight * (0.8 * 3 * geometric + 0.2 * 3 * 0.01)
    assert float(LumaChroma()(x, torch.tensor([quality]), output)) == pytest.approx(expected, rel=1e-4)
