"""Vectors to ids and back: exact, the lowest of equals, whatever stands beside a vector; and training that moves codes."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tokodec.errors import InputError
from tokodec.quantizers.base import SureQuantizer
from tokodec.quantizers.ema import EmaVectorQuantizer, NormalisedEmaVectorQuantizer
from tokodec.quantizers.fsq import FiniteScalarQuantizer
from tokodec.quantizers.lfq import BinarySphericalQuantizer, LookupFreeQuantizer
from tokodec.quantizers.nearest import nearest, nearest_two
from tokodec.quantizers.order import cluster_order

SURE = [
    EmaVectorQuantizer(50, 4),
    NormalisedEmaVectorQuantizer(50, 4),
    FiniteScalarQuantizer((8, 8, 8, 6, 5)),
    FiniteScalarQuantizer((3, 4)),
    LookupFreeQuantizer(8),
    BinarySphericalQuantizer(8),
]
UNIT = (NormalisedEmaVectorQuantizer, BinarySphericalQuantizer)
"""Those whose margins are of unit vectors."""


def reference(z: Tensor, codes: Tensor) -> Tensor:
    return torch.cdist(z.double(), codes.double()).argmin(1)


@given(st.integers(0, 200), st.integers(2, 300), st.integers(1, 9), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_nearest_is_what_all_distances_say(n: int, k: int, d: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    z, codes = torch.randn(n, d, generator=generator), torch.randn(k, d, generator=generator)
    assert torch.equal(nearest(z.double(), codes.double()), reference(z, codes))
    ids, distances = nearest_two(z.double(), codes.double())
    assert torch.equal(ids, nearest(z.double(), codes.double()))
    wanted = torch.cdist(z.double(), codes.double()).sort(1).values[:, :2]
    assert torch.allclose(distances, wanted, atol=1e-6)


@pytest.mark.parametrize("k", [2, 3, 10, 100])
def test_of_equally_near_codes_the_lowest(k: int) -> None:
    codes = torch.zeros(k, 3)
    codes[0] = 5
    assert nearest(torch.tensor([[0.1, 0.0, 0.0], [5.0, 5.0, 5.0]]), codes).tolist() == [1, 0]


def test_sixteen_thousand_codes_agree_with_float64() -> None:
    z, codes = F.normalize(torch.randn(500, 8), dim=1), F.normalize(torch.randn(16384, 8), dim=1)
    assert torch.equal(nearest(z, codes), reference(z, codes))


@pytest.mark.parametrize("quantizer", SURE, ids=lambda q: f"{type(q).__name__}-{q.size}")
class TestSure:
    def test_an_id_is_that_of_its_own_vector(self, quantizer: SureQuantizer) -> None:
        ids = torch.arange(quantizer.size)[None]
        z = quantizer.lookup(ids)
        assert z.shape == (1, quantizer.size, quantizer.dim)
        if isinstance(quantizer, FiniteScalarQuantizer):  # vectors lie where the bound has been applied
            half = torch.tensor([n // 2 for n in quantizer.levels])
            z = (torch.atanh(((z * half).double() + quantizer._offset) / quantizer._half) - quantizer._shift).float()
        assert torch.equal(quantizer.ids(z), ids)

    def test_neighbours_in_the_batch_do_not_count(self, quantizer: SureQuantizer) -> None:
        z = torch.randn(5, 70, quantizer.dim)
        together = quantizer.ids(z)
        assert torch.equal(together, torch.cat([quantizer.ids(z[i : i + 1]) for i in range(5)]))
        assert torch.equal(together, quantizer.choose(z).ids)

    def test_no_step_within_the_margin_changes_an_id(self, quantizer: SureQuantizer) -> None:
        z = torch.randn(1, 3000, quantizer.dim, dtype=torch.float64)
        if isinstance(quantizer, UNIT):
            z = F.normalize(z, dim=-1)  # the coordinates that it compares
        choice = quantizer.choose(z)
        assert float(choice.margin.min()) >= 0
        for sign in (torch.randn_like(z).sign(), -torch.ones_like(z)):
            step = sign * choice.margin[..., None] * 0.99
            moved = z + step
            if isinstance(quantizer, NormalisedEmaVectorQuantizer):  # the margin is of unit vectors
                codes = F.normalize(quantizer.codebook.double(), dim=1)
                assert torch.equal(nearest(moved[0], codes), choice.ids[0])
            else:
                assert torch.equal(quantizer.ids(moved), choice.ids)

    def test_the_training_form_gives_the_same_ids_and_vectors(self, quantizer: SureQuantizer) -> None:
        z = torch.randn(2, 40, quantizer.dim, requires_grad=True)
        if isinstance(quantizer, EmaVectorQuantizer):  # k-means starts it anew
            quantizer = type(quantizer)(quantizer.size, quantizer.dim)
            quantized = quantizer(z)
            assert quantized.terms["commitment"].shape == (2,)
            assert torch.equal(quantized.z.norm(dim=-1).isclose(torch.ones(1), atol=1e-5), torch.full((2, 40), quantizer.unit))
        else:
            quantized = quantizer(z)
            assert torch.equal(quantized.ids, quantizer.ids(z.detach()))
            assert torch.allclose(quantized.z, quantizer.lookup(quantized.ids), atol=1e-6)
        quantized.z.sum().backward()
        assert z.grad is not None
        assert bool(z.grad.any())


def test_too_few_levels_are_refused() -> None:
    with pytest.raises(InputError, match="at least 3"):
        FiniteScalarQuantizer((8, 2))


def test_codes_move_to_where_vectors_are_and_dead_ones_revive() -> None:
    torch.manual_seed(0)
    quantizer, centres = NormalisedEmaVectorQuantizer(32, 4), F.normalize(torch.randn(16, 4), dim=1)

    def step() -> float:
        z = centres[torch.randint(16, (8, 64))] + 0.02 * torch.randn(8, 64, 4)
        return float(quantizer(z).terms["commitment"].mean())

    step()
    quantizer.machine.codebook = F.normalize(torch.tensor([1.0, 0, 0, 0]) + 0.01 * torch.randn(32, 4), dim=1)  # all in one corner
    quantizer.codebook.data.copy_(quantizer.machine.codebook)
    collapsed = step()
    for _ in range(400):
        last = step()
    assert last < 0.02 * collapsed
    assert len(quantizer.ids(centres[None]).unique()) == 16


@pytest.mark.parametrize("build", [EmaVectorQuantizer, NormalisedEmaVectorQuantizer])
def test_codes_follow_as_they_do_in_the_machine_itself(build: type[EmaVectorQuantizer]) -> None:
    ours, theirs = build(64, 4), build(64, 4)
    theirs.codebook.data.copy_(ours.codebook)
    for quantizer in (ours, theirs):
        quantizer.start_from_codes()
    for step in range(20):
        z = torch.randn(4, 64, 4)
        torch.manual_seed(step)
        ids = ours(z).ids
        torch.manual_seed(step)
        some = torch.randint(ids.numel(), (8192,))
        theirs.machine.update_indices(theirs.compared(z).flatten(0, 1)[some][None], ids.flatten()[some][None])
        theirs.codebook.data.copy_(theirs.machine.codebook)
        assert torch.allclose(ours.codebook, theirs.codebook, atol=1e-6)


def test_a_warm_start_keeps_its_codes_and_a_new_one_takes_the_vectors() -> None:
    for keep in (True, False):
        torch.manual_seed(0)
        quantizer = NormalisedEmaVectorQuantizer(32, 4)
        before = quantizer.codes(torch.float32)
        if keep:
            quantizer.arm()
            quantizer.start_from_codes()
        quantizer(before[torch.randint(32, (8, 64))] + 0.001 * torch.randn(8, 64, 4))
        moved = (quantizer.codes(torch.float32) - before).norm(dim=1).median()
        assert (moved < 0.01) == keep


def test_a_model_in_use_holds_the_codebook_alone() -> None:
    quantizer = NormalisedEmaVectorQuantizer(32, 4)
    assert list(quantizer.state_dict()) == ["codebook"]
    quantizer.arm()
    assert len(quantizer.state_dict()) > 1


def test_sorting_renames_codes_and_changes_no_vector() -> None:
    quantizer = NormalisedEmaVectorQuantizer(100, 4)
    z = torch.randn(1, 200, 4)
    before = quantizer.lookup(quantizer.ids(z))
    quantizer.sort(10)
    assert torch.allclose(quantizer.lookup(quantizer.ids(z)), before, atol=1e-6)


@pytest.mark.parametrize("level", [5, 8])
def test_unevenness_is_none_where_levels_fill_their_room(level: int) -> None:
    quantizer = FiniteScalarQuantizer([level])
    shift = math.atanh((1 - level % 2) / (level - 1))
    found = quantizer((torch.rand(1, 50_000, 1) * 2 - 1).clamp(-0.9999, 0.9999).atanh() - shift)
    shares = found.ids.flatten().bincount(minlength=level) / 50_000 * (level - 1)
    assert torch.allclose(shares, torch.tensor([0.5, *[1.0] * (level - 2), 0.5]), atol=0.05)
    assert float(found.terms["unevenness"]) < 1e-4
    assert float(quantizer(torch.zeros(3, 1000, 1)).terms["unevenness"][2]) > 0.3


def test_training_against_unevenness_uses_more_codes() -> None:
    torch.manual_seed(0)
    quantizer, layer, z = FiniteScalarQuantizer([8, 8, 5]), torch.nn.Linear(3, 3), torch.randn(1, 4000, 3) * 0.3
    before = quantizer(layer(z)).perplexity
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.03)
    for _ in range(100):
        optimiser.zero_grad()
        quantizer(layer(z)).terms["unevenness"].mean().backward()
        optimiser.step()
    assert quantizer(layer(z)).perplexity > 2 * before


@pytest.mark.parametrize(("k", "groups"), [(1, 1), (7, 3), (64, 8), (100, 10), (90, 13)])
def test_clusters_are_whole_cells_of_close_codes(k: int, groups: int) -> None:
    codes = torch.randn(k, 3)
    order = cluster_order(codes, groups)
    assert torch.equal(order.sort().values, torch.arange(k))
    assert torch.equal(order, cluster_order(codes, groups))
    if k >= 64:
        cells = codes[order].split(-(-k // groups))
        within = torch.stack([(cell - cell.mean(0)).square().sum(1).mean() for cell in cells]).mean()
        assert within < 0.6 * (codes - codes.mean(0)).square().sum(1).mean()
