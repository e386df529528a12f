"""Discriminators, criteria, penalties and weights."""

import pytest
import torch
import torch.nn.functional as F

from tokodec.losses.adversary.criteria import (
    AdaptiveWeight,
    Criterion,
    FixedWeight,
    Hinge,
    HingeNonSaturating,
    LeCAM,
    NonSaturating,
    Vanilla,
    r1,
)
from tokodec.losses.adversary.patch import PatchConfig, PatchDiscriminator
from tokodec.losses.adversary.style import StyleConfig, StyleDiscriminator


def test_patches_are_judged_and_as_many_parameters_as_published() -> None:
    net = PatchDiscriminator(PatchConfig())
    assert sum(p.numel() for p in net.parameters()) == 2_765_633
    assert net(torch.randn(2, 3, 256, 256)).shape == (2, 1, 30, 30)


def test_a_patch_is_seventy_pixels_wide() -> None:
    net = PatchDiscriminator(PatchConfig(width=4)).eval()
    x = torch.zeros(1, 3, 128, 128, requires_grad=True)
    net(x)[0, 0, 8, 8].backward()
    assert x.grad is not None
    touched = x.grad.abs().sum((0, 1, 2)).nonzero()
    assert int(touched.max() - touched.min()) + 1 == 70


def test_style_judges_any_size_and_sees_the_batch() -> None:
    net = StyleDiscriminator(StyleConfig(width=8, blocks=3)).eval()
    x = torch.randn(3, 3, 40, 72)
    assert net(x).shape == (3, 1)
    assert not torch.allclose(net(x)[:1], net(x[:1].repeat(3, 1, 1, 1))[:1])


@pytest.mark.parametrize("criterion", [Hinge(), Vanilla(), NonSaturating(), HingeNonSaturating()], ids=lambda c: type(c).__name__)
def test_a_criterion_wants_opposites(criterion: Criterion) -> None:
    real, fake = torch.tensor([2.0, 1.0]), torch.tensor([-1.5, -3.0])
    assert criterion.discriminator(real, fake) < criterion.discriminator(fake, real)
    assert criterion.generator(real) < criterion.generator(fake)


def test_criteria_are_the_published_formulas() -> None:
    real, fake = torch.randn(7), torch.randn(7)
    assert torch.allclose(Hinge().discriminator(real, fake), 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean()))
    bce = F.binary_cross_entropy_with_logits
    wanted = 0.5 * (bce(real, torch.ones(7)) + bce(fake, torch.zeros(7)))
    assert torch.allclose(NonSaturating().discriminator(real, fake), wanted)
    assert torch.allclose(NonSaturating().generator(fake), bce(fake, torch.ones(7)))


def test_the_adaptive_weight_balances_gradients_at_the_last_layer() -> None:
    last = torch.randn(4, 3, requires_grad=True)
    y = torch.randn(5, 4) @ last
    others, adversarial = y.square().mean(), 0.01 * y.mean()
    weight = AdaptiveWeight()(others, adversarial, last)
    one, other = (torch.autograd.grad(loss, last, retain_graph=True)[0].norm() for loss in (others, adversarial))
    assert torch.allclose(weight, one / (other + 1e-4))
    assert not weight.requires_grad
    assert float(AdaptiveWeight()(others, 0 * adversarial, last)) <= 1e4
    assert float(FixedWeight()(others, adversarial, last)) == 1.0


def test_r1_is_half_the_squared_gradient() -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 1, bias=False))
    assert torch.allclose(r1(net, torch.randn(5, 3, 2, 2)), net[1].weight.square().sum() / 2)


def test_lecam_pulls_towards_the_averages_of_the_other_kind() -> None:
    lecam = LeCAM(decay=0.5)
    lecam.update(torch.tensor(2.0), torch.tensor(-2.0))
    assert (float(lecam.real), float(lecam.fake)) == (1.0, -1.0)
    assert float(lecam(torch.tensor([3.0]), torch.tensor([-3.0]))) == 4.0**2 + 4.0**2
    assert float(lecam(torch.tensor([-1.0]), torch.tensor([1.0]))) == 0.0


@pytest.mark.parametrize("lost", [float("nan"), float("inf")])
def test_lecam_survives_a_step_that_is_not_finite(lost: float) -> None:
    lecam = LeCAM(decay=0.5)
    lecam.update(torch.tensor(lost), torch.tensor(lost))
    lecam.update(torch.tensor(2.0), torch.tensor(-2.0))
    assert (float(lecam.real), float(lecam.fake)) == (1.0, -1.0)
