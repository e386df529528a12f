"""Steps along orthogonalised momentum."""

import pytest
import torch
from torch import nn

from tokodec.errors import InputError
from tokodec.train.muon import Muon, orthogonal
from tokodec.train.optim import Group
from tokodec.train.recipe import OptimiserRecipe


@pytest.mark.parametrize("shape", [(3, 16, 24), (2, 24, 16), (1, 8, 8)])
def test_singular_values_come_near_one_and_vectors_stay(shape: tuple[int, ...]) -> None:
    given = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = orthogonal(given)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.3
    assert values.max() < 1.4
    u, _, v = torch.linalg.svd(given, full_matrices=False)
    within = u.mT @ found @ v.mT
    assert (within - torch.diag_embed(within.diagonal(dim1=1, dim2=2))).abs().max() < 0.1


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 4, 1))


def group(model: nn.Module, rule: str = "muon") -> Group:
    return Group(OptimiserRecipe(rule=rule, learning_rate=0.02), dict(model.named_parameters()))


def loss(model: nn.Module) -> torch.Tensor:
    x = torch.rand(4, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    return (model(x) - x.flip(1)).square().mean()


def test_matrices_go_to_muon_and_the_rest_to_adamw() -> None:
    model = net()
    muon, adamw = group(model).optimisers
    shapes = [[tuple(p.shape) for p in o.param_groups[0]["params"]] for o in (muon, adamw)]
    assert shapes == [[(8, 4, 3, 3), (4, 8, 1, 1)], [(8,), (8, 1, 3, 3), (8,), (4,)]]
    with pytest.raises(InputError, match=r"shape \(8,\) is no matrix"):
        Muon([model[0].bias], lr=1.0, momentum=0.9, weight_decay=0.0)
    with pytest.raises(InputError, match="there is no optimiser 'sgd'; there are adamw, muon"):
        group(model, "sgd")


def test_it_learns_and_goes_on_from_its_state() -> None:
    model, kept = net(), []
    mine = group(model)
    first = float(loss(model).detach())
    for step in range(60):
        if step == 30:
            kept = [{n: t.clone() for n, t in state.items()} for state in (model.state_dict(), mine.state())]
        model.zero_grad()
        loss(model).backward()
        assert float(mine.step(1 - step / 60)) == 0
    assert float(loss(model).detach()) < first / 5
    again = net()
    again.load_state_dict(kept[0])
    other = group(again)
    other.load(kept[1])
    for step in range(30, 60):
        again.zero_grad()
        loss(again).backward()
        other.step(1 - step / 60)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_a_gradient_that_is_not_finite_changes_nothing() -> None:
    model = net()
    mine = group(model)
    loss(model).backward()
    mine.step(1.0)
    before, state = [p.detach().clone() for p in model.parameters()], {n: t.clone() for n, t in mine.state().items()}
    loss(model).backward()
    model[3].weight.grad[0, 0] = torch.nan
    assert float(mine.step(1.0)) == 1
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(torch.equal(t, mine.state()[n]) for n, t in state.items())
