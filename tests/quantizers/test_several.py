"""Quantizers of several codebooks: one after another, one beside another, two under one index, scale by scale."""

import pytest
import torch
import torch.nn.functional as F
from codebooks import spread
from hypothesis import given, settings
from hypothesis import strategies as st

from tokodec.errors import InputError
from tokodec.quantizers.codebook import (
    VectorQuantizer,
)
from tokodec.quantizers.ema import NormalisedEmaVectorQuantizer
from tokodec.quantizers.ema_residual import EmaResidualQuantizer
from tokodec.quantizers.factorized import FactorizedQuantizer, SureFactorizedQuantizer, disentanglement
from tokodec.quantizers.fsq import FiniteScalarQuantizer
from tokodec.quantizers.multiscale import MultiScaleQuantizer, ScaleDropout
from tokodec.quantizers.shared_index import SharedIndexQuantizer


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 1.0, 4.0]))
@settings(deadline=None, max_examples=30)
def test_the_weighted_sum_of_both_distances_decides_one_index(seed: int, weight: float) -> None:
    torch.manual_seed(seed)
    quantizer, z = SharedIndexQuantizer(50, 5, 3, weight), torch.randn(2, 20, 8, dtype=torch.float64)
    with torch.no_grad():
        quantizer.semantic.mul_(3), quantizer.pixel.mul_(0.2)  # lengths do not count
        unit = [F.normalize(table.double(), dim=1) for table in (quantizer.semantic, quantizer.pixel)]
        of_parts = [torch.cdist(F.normalize(part, dim=-1), codes) ** 2 for part, codes in zip((z[..., :5], z[..., 5:]), unit, strict=True)]
        ids = quantizer.ids(z)
        assert torch.equal(ids, (of_parts[0] + weight * of_parts[1]).argmin(-1))
        both = quantizer.parts(quantizer.lookup(ids))
        assert all(torch.allclose(found.double(), codes[ids], atol=1e-6) for found, codes in zip(both, unit, strict=True))


def test_terms_of_a_shared_index_add_both_codebooks() -> None:
    torch.manual_seed(0)
    quantizer, z = SharedIndexQuantizer(50, 5, 3), torch.randn(2, 20, 8, requires_grad=True)
    quantized = quantizer(z)
    parts = zip(quantizer.parts(quantizer.lookup(quantized.ids)), quantizer.parts(z), strict=True)
    wanted = torch.stack([(codes - F.normalize(part, dim=-1)).square().mean((1, 2)) for codes, part in parts]).sum(0)
    assert torch.allclose(quantized.terms["codebook"], wanted)
    quantized.terms["codebook"].sum().backward(retain_graph=True)
    assert z.grad is None
    assert bool(quantizer.semantic.grad.any())  # type: ignore[union-attr]
    assert bool(quantizer.pixel.grad.any())  # type: ignore[union-attr]
    quantizer.zero_grad()
    quantized.terms["commitment"].sum().backward()
    assert bool(z.grad.any())  # type: ignore[attr-defined]
    assert quantizer.semantic.grad is None


class TestEmaResidual:
    def made(self) -> EmaResidualQuantizer:
        torch.manual_seed(0)
        return EmaResidualQuantizer(16, 4, 2)

    def test_one_table_is_kept_once(self) -> None:
        quantizer = self.made()
        assert list(quantizer.state_dict()) == ["levels.0.codebook"]
        assert quantizer.vocab == (16, 16)
        assert quantizer.size == 256

    def test_codes_move_only_when_armed_and_in_training(self) -> None:
        quantizer, z = self.made(), torch.randn(1, 40, 4)
        before = quantizer.table.detach().clone()
        quantizer(z)
        quantizer.arm()
        quantizer.eval()
        quantizer(z)
        assert torch.equal(quantizer.table, before)
        quantizer.train()
        quantizer(z)
        assert not torch.equal(quantizer.table, before)

    def test_a_step_by_hand(self) -> None:
        """Eight times 2.5 is 2 and the rest 0.5, which is the other code; the third code is not chosen, and so drawn anew."""
        quantizer = EmaResidualQuantizer(3, 1, 2)
        quantizer.table.data = torch.tensor([[2.0], [0.5], [-9.0]])
        quantizer.arm()
        z = torch.full((1, 8, 1), 2.6)
        quantized = quantizer(z)
        assert quantized.ids[0].tolist() == [[0, 1]] * 8
        assert quantized.terms["commitment"].tolist() == pytest.approx([(0.6**2 + 0.1**2) / 2])
        counts = [0.99 + 0.08, 0.99 + 0.08, 1.0]
        sums = [0.99 * 2 + 0.01 * 8 * 2.6, 0.99 * 0.5 + 0.01 * 8 * 0.6]
        assert quantizer.counts.tolist() == pytest.approx(counts)
        assert quantizer.table[:2, 0].tolist() == pytest.approx([s / c for s, c in zip(sums, counts[:2], strict=True)], rel=1e-4)
        drawn = float(quantizer.table[2])
        assert min(abs(drawn - 2.6), abs(drawn - 0.6)) < 0.011

    def test_codes_follow(self) -> None:
        quantizer, centres = self.made(), 3 * torch.randn(12, 4)
        quantizer.arm()
        z = centres.repeat(8, 8, 1)
        first = float(quantizer(z).terms["commitment"].mean())
        for _ in range(60):
            last = float(quantizer(z + 0.02 * torch.randn_like(z)).terms["commitment"].mean())
        assert last < 0.2 * first


class TestMultiScale:
    def made(self) -> MultiScaleQuantizer:
        torch.manual_seed(1)
        return MultiScaleQuantizer((1, 2, 4, 6), spread(VectorQuantizer(400, 3)))

    def test_whole_scales_come_closer(self) -> None:
        quantizer = self.made()
        z = F.interpolate(torch.randn(2, 3, 3, 3), size=(6, 6), mode="bicubic")
        with torch.no_grad():
            ids = quantizer.ids(z)
            assert ids.shape == (2, quantizer.count) == (2, 57)
            errors = [float((quantizer.lookup(ids[:, :n]) - z).square().mean()) for n in (1, 5, 21, 57)]
        assert sorted(errors, reverse=True) == errors

    def test_training_form(self) -> None:
        quantizer = self.made()
        z = torch.randn(2, 3, 6, 6, requires_grad=True)
        quantized = quantizer(z)
        assert torch.equal(quantized.ids, quantizer.ids(z.detach()))
        wanted = quantizer.lookup(quantized.ids).flatten(2).transpose(1, 2)
        assert torch.allclose(quantized.z, wanted, atol=1e-5)
        quantized.z.sum().backward()
        assert z.grad is not None
        assert set(quantized.terms) == {"codebook", "commitment", "residual"}

    def test_one_scale_is_left_out_now_and_then_but_never_the_first(self) -> None:
        shared = SharedIndexQuantizer(40, 2, 1)
        quantizer = ScaleDropout((1, 2, 4), shared, 0.5)
        z = torch.randn(1, 3, 4, 4)
        seen = [quantizer(z).ids.shape[1] for _ in range(60)]
        assert set(seen) == {21, 17, 5}
        assert 15 < seen.count(21) < 45
        assert quantizer.ids(z).shape == (1, 21)
        assert all(ScaleDropout((1, 2, 4), shared, 0.0)(z).ids.shape[1] == 21 for _ in range(20))

    def test_what_does_not_fit_is_refused(self) -> None:
        quantizer = self.made()
        with pytest.raises(InputError, match="6 x 6, not 5 x 6"):
            quantizer.ids(torch.randn(1, 3, 5, 6))
        with pytest.raises(InputError, match="3 ids"):
            quantizer.lookup(torch.zeros(1, 3, dtype=torch.long))
        with pytest.raises(InputError, match="sides of maps"):
            MultiScaleQuantizer((2, 2), VectorQuantizer(4, 2))


def test_parts_are_quantized_each_by_its_own_codebook() -> None:
    parts = [spread(VectorQuantizer(20, 3)), spread(VectorQuantizer(30, 5))]
    whole = FactorizedQuantizer(parts)
    z = torch.randn(2, 7, 8)
    ids = whole.ids(z)
    for i, part in enumerate(z.split([3, 5], -1)):
        assert torch.equal(ids[..., i], parts[i].ids(part))
    assert torch.equal(whole.lookup(ids), torch.cat([q.lookup(ids[..., i]) for i, q in enumerate(parts)], -1))
    assert (whole.dim, whole.size, whole.vocab) == (8, 600, (20, 30))
    found = whole(z)
    apart = [q(part) for q, part in zip(parts, z.split([3, 5], -1), strict=True)]
    assert torch.allclose(found.terms["commitment"], apart[0].terms["commitment"] + apart[1].terms["commitment"])
    assert "disentanglement" not in found.terms  # of codes of different dimensions there is no angle
    with pytest.raises(InputError, match="one codebook"):
        FactorizedQuantizer([whole])


def test_disentanglement_is_the_mean_squared_cosine() -> None:
    x, y = torch.tensor([[[3.0, 0.0], [0.0, 2.0]]]), torch.tensor([[[0.0, 1.0], [1.0, 1.0]]])
    assert torch.allclose(disentanglement([x, y]), torch.tensor([(0 + 0.5) / 2]))
    assert torch.allclose(disentanglement([x, y, 2 * x]), torch.tensor([(0.25 + 1.0 + 0.25) / 3]))
    z = torch.randn(1, 4, 6, requires_grad=True)
    FactorizedQuantizer([VectorQuantizer(4, 3), VectorQuantizer(4, 3)])(z).terms["disentanglement"].sum().backward()
    assert z.grad is not None
    assert bool(z.grad.any())


def test_side_by_side_one_is_as_sure_as_its_least_sure_part() -> None:
    torch.manual_seed(0)
    parts = [NormalisedEmaVectorQuantizer(20, 4), FiniteScalarQuantizer((5, 3))]
    quantizer, z = SureFactorizedQuantizer(parts), torch.randn(2, 30, 6)
    choice = quantizer.choose(z)
    first, second = parts[0].choose(z[..., :4]), parts[1].choose(z[..., 4:])
    assert torch.equal(choice.ids, torch.stack([first.ids, second.ids], -1))
    assert torch.equal(choice.ids, quantizer.ids(z))
    assert torch.equal(choice.margin, torch.minimum(first.margin, second.margin))
    assert bool((choice.margin == first.margin).any())
    assert bool((choice.margin == second.margin).any())
