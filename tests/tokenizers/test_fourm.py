"""4M beyond pictures with a transformer decoder, which the contract covers: every other modality, drawing, and checkpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from tokodec.api import Sampler, Tokens
from tokodec.cli.main import run
from tokodec.codecs.token import TokenCodec
from tokodec.errors import InputError
from tokodec.nn.diffusion import LinearSchedule
from tokodec.nn.position import stretched, waves
from tokodec.pretrained import store
from tokodec.pretrained.convert import fourm
from tokodec.tokenizers.fourm_divae import FourMDivae
from tokodec.zoo import create

Pictures = Callable[..., Tensor]
LATTICE = {"width": 16, "depth": 1, "heads": 2, "grid": 4, "size": 64, "dim": 4}
UNET = {
    **LATTICE,
    "patch": 8,
    "decoder_patch": 2,
    "decoder_width": 8,
    "decoder_multipliers": (1, 2),
    "decoder_blocks": 1,
    "decoder_groups": 4,
}
VECTORS = {"width": 16, "depth": 2, "heads": 4, "size": 32, "dim": 16}
TINY: dict[str, tuple[dict[str, Any], Callable[[], Tensor]]] = {
    "fourm_rgb_16k": (UNET, lambda: torch.rand(2, 3, 30, 41)),
    "fourm_depth_8k": (UNET, lambda: torch.randn(2, 1, 30, 41)),
    "fourm_normal_8k": (UNET, lambda: torch.randn(2, 3, 30, 41)),
    "fourm_edge_8k": (UNET, lambda: torch.randn(2, 1, 30, 41)),
    "fourm_semseg_4k": ({**LATTICE, "patch": 8, "channels": 6, "labels": 9}, lambda: torch.randint(9, (2, 30, 41))),
    "fourm_clip_b16_8k": ({**LATTICE, "channels": 20}, lambda: torch.randn(2, 20, 5, 7)),
    "fourm_dinov2_b14_8k": ({**LATTICE, "channels": 24}, lambda: torch.randn(2, 24, 5, 7)),
    "fourm_imagebind_h14_8k": ({**LATTICE, "channels": 28}, lambda: torch.randn(2, 28, 5, 7)),
    "fourm_sam_instance_1k": ({**LATTICE, "patch": 8}, lambda: torch.randint(2, (2, 1, 30, 41)).float()),
    "fourm_dinov2_b14_global_8k_16": ({**VECTORS, "channels": 20}, lambda: torch.randn(2, 20, 1, 1)),
    "fourm_imagebind_h14_global_8k_16": ({**VECTORS, "channels": 24}, lambda: torch.randn(2, 24, 1, 1)),
    "fourm_human_poses_1k": (VECTORS, lambda: torch.randn(2, 207, 1, 1)),
}


@pytest.fixture(params=TINY)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def tiny(name: str) -> Any:
    return create(name, TINY[name][0])


@pytest.fixture
def divae() -> FourMDivae:
    model = tiny("fourm_rgb_16k").eval()
    assert isinstance(model, FourMDivae)
    return model


def same(a: Tokens, b: Tokens) -> bool:
    return torch.equal(a.ids, b.ids)


def test_what_goes_in_comes_out_in_its_own_shape(name: str) -> None:
    model, x = tiny(name).eval(), TINY[name][1]()
    with torch.inference_mode():
        tokens = model.encode(x)
        y = model.decode(tokens)
        alone = torch.cat([model.decode(model.encode(one)) for one in x.split(1)])
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    assert same(tokens, model.encode(x))
    assert (y - alone).abs().max() < 1e-4
    blank = model.blank(tokens.size)
    assert blank.ids.shape[1:] == tokens.ids.shape[1:]


def test_ids_do_not_depend_on_circumstances(name: str) -> None:
    model, x = tiny(name).eval(), TINY[name][1]()
    with torch.inference_mode():
        ids = model.encode(x).ids
        assert torch.equal(ids, torch.cat([model.encode(one).ids for one in x.split(1)]))
        torch.set_num_threads(2)
        try:
            assert torch.equal(ids, model.encode(x).ids)
        finally:
            torch.set_num_threads(1)


def test_training_reaches_every_parameter(name: str) -> None:
    model, x = tiny(name).train(), TINY[name][1]()
    for parameter in model.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    terms = model(x).terms
    assert all(term.shape == (2,) for term in terms.values())
    torch.stack([term.sum() for term in terms.values()]).sum().backward()
    learning = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert not [n for n, p in learning.items() if p.grad is None or not bool(p.grad.isfinite().all()) or not bool(p.grad.any())]


def test_in_use_terms_are_what_is_kept(name: str) -> None:
    model, x = tiny(name).eval(), TINY[name][1]()
    with torch.inference_mode():
        terms = model(x).terms
    assert terms["bpp"].shape == (2,)
    assert all(bool(term.isfinite().all()) for term in terms.values())


def test_classes_that_there_are_not_are_named() -> None:
    model = tiny("fourm_semseg_4k").eval()
    with pytest.raises(InputError, match="classes are 0 to 8; these reach from 0 to 9"):
        model.encode(torch.tensor([[[0, 9]]]))


# --- drawing


def test_a_seed_gives_one_picture(divae: FourMDivae, picture: Pictures) -> None:
    with torch.inference_mode():
        tokens = divae.encode(picture(32, 40))
        first = divae.decode(tokens)
        assert torch.equal(first, divae.decode(tokens))
        assert torch.equal(first, divae.decode(tokens, sampler=Sampler(steps=25, seed=0)))
        assert not torch.equal(first, divae.decode(tokens, sampler=Sampler(seed=1)))
        assert not torch.equal(first, divae.decode(tokens, sampler=Sampler(steps=3)))


def test_a_sampler_that_cannot_be_is_refused(divae: FourMDivae, picture: Pictures) -> None:
    tokens = divae.encode(picture(16, 16))
    with pytest.raises(InputError, match="no guidance but 1"):
        divae.decode(tokens, sampler=Sampler(guidance=2.0))
    with pytest.raises(InputError, match="at least 1 step"):
        Sampler(steps=0)


@pytest.mark.parametrize("name", ["fourm_test", "vq_test"])
def test_a_decoder_that_draws_nothing_refuses_a_sampler_by_name(name: str, picture: Pictures) -> None:
    model = store.load(name)
    with torch.inference_mode(), pytest.raises(InputError, match=f"{name} decodes in one way only"):
        model.decode(model.encode(picture(16, 16)), sampler=Sampler())


@pytest.mark.parametrize("steps", [1, 7, 1000, 5000])
def test_drawing_ends_at_what_is_predicted(steps: int) -> None:
    x, seen = torch.randn(2, 1, 2, 2), []

    def predict(_noisy: Tensor, t: Tensor) -> Tensor:
        seen.append(int(t[0]))
        return x

    assert torch.allclose(LinearSchedule().draw(torch.randn(2, 1, 2, 2), predict, steps), x, atol=1e-6)
    assert seen[0] == 999
    assert len(seen) == min(steps, 1000)
    assert seen == sorted(set(seen), reverse=True)


def test_noise_grows_from_almost_nothing_to_all() -> None:
    x, noise = torch.ones(2, 1, 1, 1), torch.zeros(2, 1, 1, 1)
    left = LinearSchedule().noisy(x, noise, torch.tensor([0, 999])).flatten()
    assert abs(float(left[0]) - (1 - 1e-4) ** 0.5) < 1e-6
    assert float(left[1]) == 0


# --- positions


def test_a_table_at_its_own_size_is_itself() -> None:
    table = waves(4, 16)
    assert torch.equal(stretched(table, (4, 4)), table.flatten(2).transpose(1, 2))
    assert stretched(table, (3, 9)).shape == (1, 27, 16)
    assert torch.equal(table[0, :8, 2], table[0, :8, 2, :1].expand(-1, 4)), "the first half is of the row"
    assert torch.equal(table[0, 8:, :, 2], table[0, 8:, :1, 2].expand(-1, 4)), "the second of the column"


# --- files


@pytest.mark.parametrize("name", ["fourm_depth_8k", "fourm_semseg_4k"])
def test_what_is_no_photograph_makes_no_file(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store.save(tiny(name), tmp_path / "model.safetensors", name=name)
    model = store.load(f"dir:{tmp_path}")
    takes = {"fourm_depth_8k": "depth", "fourm_semseg_4k": "labels:134"}[name]
    with pytest.raises(InputError, match=f"{name} takes {takes}, not photographs"):
        TokenCodec(model)
    Image.new("RGB", (20, 20)).save(tmp_path / "in.png")
    assert run([str(tmp_path / "in.png"), str(tmp_path / "out.tkd"), "-m", f"dir:{tmp_path}"]) == 2
    error = capsys.readouterr().err
    assert f"{name} takes {takes}" in error
    assert error.count("\n") == 1


def test_a_drawing_decoder_makes_files(tmp_path: Path, picture: Pictures) -> None:
    store.save(tiny("fourm_rgb_16k"), tmp_path / "model.safetensors", name="fourm_rgb_16k")
    codec = TokenCodec(store.load(f"dir:{tmp_path}"))
    with torch.inference_mode():
        symbols = codec.symbols(picture(30, 41))
        again = codec.read(codec.write(symbols), symbols.size)
        assert torch.equal(codec.synthesise(again), codec.synthesise(symbols))


def upstream(model: Any) -> dict[str, Tensor]:
    names = fourm.names_of(model)
    return {names.upstream(name): p.detach().clone() for name, p in model.named_parameters()}


def test_a_model_of_a_checkpoint_has_its_table_of_positions() -> None:
    theirs = upstream(create("fourm_test", {"grid": 9}))
    theirs |= {"quantize._codebook.initted": torch.ones(1), "quantize._codebook.cluster_size": torch.ones(64)}
    model = create("fourm_test")
    taken = fourm.take(model, theirs)  # type: ignore[type-var]
    assert taken.config.grid == 9
    assert torch.equal(taken.quantizer.codebook, theirs["quantize._codebook.embed"])


def test_every_kind_has_names_of_its_own(name: str) -> None:
    model = tiny(name)
    theirs = upstream(model)
    assert len(theirs) == len(list(model.parameters())), "two of ours have one name there"
    fourm.names_of(model).fill(tiny(name), theirs)
