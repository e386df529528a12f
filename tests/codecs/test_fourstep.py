"""What fourstep_vr has that no other codec has: the quarter schedule, and float nets that come out of integer ones."""

import pytest
import torch
from conftest import Pictures

from tokodec import zoo
from tokodec.codecs.fourstep_vr import FourStepVR
from tokodec.entropy import quarters
from tokodec.pretrained import store


@pytest.fixture(scope="module")
def model() -> FourStepVR:
    loaded = store.load("fourstep_vr_test")
    assert isinstance(loaded, FourStepVR)
    return loaded


def test_four_steps_take_everything_once() -> None:
    lattice = torch.arange(2 * 8 * 4 * 6).view(2, 8, 4, 6)
    again = torch.zeros_like(lattice)
    parts = [quarters.take(lattice, step) for step in range(4)]
    for step, part in enumerate(parts):
        quarters.put(again, step, part)
    assert torch.equal(again, lattice)
    assert torch.cat([part.flatten() for part in parts]).unique().numel() == lattice.numel()


def test_every_step_has_every_channel_and_every_place() -> None:
    for step in range(4):
        mask = quarters.mask(step, 8, (4, 6), torch.device("cpu"))
        assert bool(mask.any(0).all())
        assert bool(mask.flatten(1).any(1).all())
        assert int(mask.sum()) == mask.numel() // 4


def test_the_weights_file_leaves_out_what_integers_say(model: FourStepVR) -> None:
    stored = store.read_weights("fourstep_vr_test").tensors
    assert {*model.state_dict()} - {*stored} == model.derived()
    assert any(name.startswith("context.") for name in model.derived())


def test_a_fresh_model_keeps_all_its_parameters() -> None:
    fresh = zoo.create("fourstep_vr_test")
    assert isinstance(fresh, FourStepVR)
    assert fresh.derived() == set()


def test_float_nets_out_of_integer_ones_expect_the_same(model: FourStepVR, picture: Pictures) -> None:
    """Means within a hundredth, scales within a tenth of an octave, on average."""
    x, q = picture(96, 96, batch=2), torch.tensor([0.3, 0.8])
    again = store.load("fourstep_vr_test")
    assert isinstance(again, FourStepVR)
    with torch.inference_mode():
        before = again.expect(*_inputs(again, x, q))
        again.freeze_nets([x], [0.3, 0.8])
        again.recover()
        after = again.expect(*_inputs(again, x, q))
    assert float((after.mean - before.mean).abs().mean()) < 0.01
    assert float((after.scale - before.scale).abs().mean()) < 0.1


def _inputs(model: FourStepVR, x: torch.Tensor, q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    y = model.g_a(x - 0.5, model.gain_a(q))
    gain_z = torch.exp2(model.gain_z(q))[..., None, None]
    features = model.h_s.features((model.h_a(y) * gain_z).round() / gain_z)[..., : y.shape[2], : y.shape[3]]
    return features, y, q, torch.exp2(model.gain_y(q))[..., None, None]


def test_the_context_saves_bits(model: FourStepVR, picture: Pictures) -> None:
    x, q = picture(128, 128), torch.tensor([0.7])
    last = model.exact_context.body.last
    with torch.inference_mode():
        with_context = float(model(x, quality=q).terms["bpp"])
        kept = last.weight.clone(), last.bias.clone()
        last.weight.zero_()
        last.bias.zero_()
        without = float(model(x, quality=q).terms["bpp"])
        last.weight.copy_(kept[0])
        last.bias.copy_(kept[1])
    assert with_context < without
