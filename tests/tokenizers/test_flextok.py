"""FlexTok: registers that do not know what follows, pictures that a flow draws from a seed, guidance, lengths, training, checkpoints."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from tokodec.api import Sampler
from tokodec.errors import InputError, WeightsMismatch
from tokodec.nn.flow import Course, Guidance, clean, draw, drawn_times, noisy
from tokodec.nn.patch import patches_by_place, picture_by_place
from tokodec.pretrained import store
from tokodec.pretrained.convert.flextok import NAMES, take
from tokodec.zoo import MODELS, create

Pictures = Callable[..., Tensor]
QUICK = Sampler(steps=2)


@pytest.fixture
def model() -> Any:
    return store.load("flextok_test")


@torch.inference_mode()
def test_registers_do_not_depend_on_those_that_follow(model: Any, picture: Pictures) -> None:
    x = picture(64, 64)
    before = model.latents(x)
    model.encoder.registers[3].mul_(-1)
    after = model.latents(x)
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


@torch.inference_mode()
def test_a_picture_is_its_sampler(model: Any, picture: Pictures) -> None:
    code = model.encode(picture(64, 64))
    assert torch.equal(model.decode(code), model.decode(code, sampler=Sampler()))
    first = model.decode(code, sampler=QUICK)
    assert torch.equal(first, model.decode(code, sampler=QUICK))
    for other in (Sampler(steps=3), Sampler(steps=2, seed=1), Sampler(steps=2, guidance=3.0)):
        assert not torch.allclose(first, model.decode(code, sampler=other), atol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("guidance", [1.0, 7.5])
def test_items_of_mixed_lengths_are_drawn_as_alone(model: Any, picture: Pictures, guidance: float) -> None:
    x, sampler = picture(128, 64, batch=3), replace(QUICK, guidance=guidance)
    code = model.encode(x, quality=torch.tensor([0.0, 0.5, 1.0]))
    assert code.streams["ids"].lengths.tolist() == [2, 6, 12]
    together = model.decode(code, sampler=sampler)
    for i in range(3):
        assert torch.equal(together[i : i + 1], model.decode(code[i : i + 1], sampler=sampler))


@torch.inference_mode()
def test_what_is_cut_off_says_nothing_and_every_id_something(model: Any, picture: Pictures) -> None:
    whole = model.encode(picture(64, 64))
    pictures = [model.decode(model.truncate(whole, k), sampler=QUICK) for k in range(1, model.row + 1)]
    assert all(not torch.equal(a, b) for a, b in pairwise(pictures))
    stream = whole.streams["ids"]
    junk = replace(
        whole, streams={"ids": replace(stream, ids=stream.ids.flip(1).where(torch.arange(6) > 2, stream.ids), lengths=stream.lengths - 3)}
    )
    assert torch.equal(model.decode(junk, sampler=QUICK), pictures[2])
    with pytest.raises(InputError, match="a window has 1 to 6 ids, not 7"):
        model.truncate(whole, 7)


def test_a_straight_flow_is_drawn_exactly_in_any_number_of_steps() -> None:
    torch.manual_seed(0)
    x, noise, s = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4), drawn_times(2, torch.device("cpu"))
    velocity = noise - x
    assert torch.allclose(clean(noisy(x, noise, s), velocity, s), x, atol=1e-5)
    times: list[float] = []

    def told(_: Tensor, at: Tensor) -> Tensor:
        times.append(float(at[0]))
        return velocity

    assert torch.allclose(draw(noise, told, 4), x, atol=1e-5)
    assert times == [1.0, 0.75, 0.5, 0.25]


def test_guidance() -> None:
    torch.manual_seed(0)
    known, unknown = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    plain = Course(Guidance(momentum=0.0, most=float("inf"), parallel=1.0), 3.0)
    assert torch.allclose(plain(known, unknown), unknown + 3 * (known - unknown), atol=1e-5)
    course = Course(Guidance(momentum=-0.5, most=2.5, parallel=0.0), 3.0)
    change = (course(known, unknown) - known) / 2
    assert torch.allclose((change * known).sum((1, 2, 3)), torch.zeros(2), atol=1e-4)
    assert bool((change.flatten(1).norm(dim=1) <= 2.5001).all())
    again = (course(known, unknown) - known) / 2
    limited = Course(Guidance(momentum=0.0, most=2.5, parallel=0.0), 3.0)
    half = (limited(known, known - (known - unknown) / 2) - known) / 2
    assert torch.allclose(again, half, atol=1e-5)  # the sum of both steps is half the difference


def test_patches_keep_channels_of_a_place_together() -> None:
    x = torch.arange(2 * 3 * 4 * 6.0).view(2, 3, 4, 6)
    samples = patches_by_place(x, 2)
    assert torch.equal(samples[1, 4], torch.stack([x[1, :, i, j] for i in (2, 3) for j in (2, 3)]).flatten())
    assert torch.equal(picture_by_place(samples, 2, (2, 3)), x)


def test_training_gives_the_flow(picture: Pictures) -> None:
    torch.manual_seed(0)
    model: Any = MODELS["flextok_test"].create({"decoder_nothing": 0.0}).train()
    found = model(picture(64, 64, batch=2), quality=torch.tensor([0.0, 0.4]))
    assert set(found.terms) == {"mse", "flow"}
    found.terms["flow"].sum().backward()
    moved = model.decoder.positions.grad
    assert bool(moved[:, :3].any(0).all())
    assert not bool(moved[:, 3:].any())
    assert bool(model.decoder.mask.grad.any())
    assert bool(model.encoder.registers.grad.any())
    assert model.decoder.nothing.grad is None or not bool(model.decoder.nothing.grad.any())
    assert not any(p.requires_grad for half in (model.vae, model.decoder_vae) for p in half.parameters())


def test_a_share_of_every_batch_trains_without_ids() -> None:
    model: Any = MODELS["flextok_test"].create({"decoder_nothing": 0.25})
    registers = torch.ones(8, 6, 32)
    for _ in range(20):
        told = model._some_untold(registers)
        assert sum(bool((item == 1).all()) for item in told) == 6


def test_lengths_of_training_are_powers_of_two() -> None:
    model: Any = MODELS["flextok_test"].create({"row": 16})
    torch.manual_seed(0)
    assert set(model.drawn_lengths(400).tolist()) == {1, 2, 4, 8, 16}


@torch.inference_mode()
def test_a_checkpoint_may_lack_the_convolutions_beside_the_autoencoder(picture: Pictures) -> None:
    torch.manual_seed(0)
    fresh: Any = create("flextok_test").eval()
    fresh.vae.mix.weight.copy_(torch.eye(8)[..., None, None])
    fresh.decoder_vae.mix.weight.copy_(torch.eye(4)[..., None, None])
    for half in (fresh.vae, fresh.decoder_vae):
        half.mix.bias.zero_()
    theirs = {NAMES.upstream(name): p.detach().clone() for name, p in fresh.named_parameters()}
    lean = {key: t for key, t in theirs.items() if "quant_conv" not in key}
    assert len(lean) == len(theirs) - 4
    x = picture(64, 64)
    for checkpoint in (theirs, lean):
        model: Any = take(create("flextok_test"), checkpoint)  # pyright: ignore[reportArgumentType]
        assert torch.equal(model.latents(x), fresh.latents(x))
    del lean["vae.vae.encoder.conv_in.weight"]
    with pytest.raises(WeightsMismatch, match=r"missing vae\.vae\.encoder\.conv_in\.weight"):
        take(create("flextok_test"), lean)  # pyright: ignore[reportArgumentType]
