"""The cosine transform of maps as a row of frequencies."""

import math

import pytest
import torch

from tokodec.nn.spectrum import order, spectrum


@pytest.mark.parametrize("side", [1, 2, 5, 16])
def test_it_keeps_lengths_and_angles(side: int) -> None:
    basis = spectrum(side).double()
    assert torch.allclose(basis @ basis.T, torch.eye(side**2, dtype=torch.float64), atol=1e-6)


def test_the_first_frequency_is_the_mean_and_the_last_the_finest() -> None:
    basis = spectrum(4)
    assert torch.allclose(basis[0], torch.full((16,), 1 / 4))
    signs = basis[-1].view(4, 4).sign()
    assert torch.equal(signs[:, :-1], -signs[:, 1:])
    assert torch.equal(signs[:-1], -signs[1:])


def test_frequencies_go_from_low_to_high() -> None:
    found = order(16)
    assert len(set(found)) == 256
    sizes = [math.hypot(*f) for f in found]
    assert sizes == sorted(sizes)
