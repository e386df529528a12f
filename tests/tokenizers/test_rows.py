"""Rows of ids that have no place: order over windows, legacy layout, latents of real values, training, checkpoints of the authors."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tokodec import compress, decompress
from tokodec.api import Latents
from tokodec.errors import InputError
from tokodec.losses.proxy import ProxyCodes
from tokodec.nn.maskgit import ForgetfulBlock
from tokodec.nn.oned import InterleavedEncoder, RowEncoder
from tokodec.nn.transformer import Trunk
from tokodec.pretrained import store
from tokodec.pretrained.convert import titok
from tokodec.pretrained.convert.origins import from_checkpoint
from tokodec.tokenizers.rows import by_window, lengths_by_window, ranked
from tokodec.tokenizers.titok import TiTok
from tokodec.tokenizers.titok_vae import TiTokVAE
from tokodec.zoo import create

Pictures = Callable[..., Tensor]
ROWS = ("titok_test", "titok_pixels_test", "one_d_piece_test", "retok_test")


def test_a_row_has_the_first_ids_of_all_windows_first() -> None:
    parts = torch.arange(12).view(4, 3)  # two items of two windows of three ids
    row = ranked(parts, 2)
    assert row.tolist() == [[0, 3, 1, 4, 2, 5], [6, 9, 7, 10, 8, 11]]
    assert torch.equal(by_window(row, 2), parts)
    assert lengths_by_window(torch.tensor([5, 2]), 2).tolist() == [3, 2, 1, 1]


@pytest.mark.parametrize("name", ROWS)
def test_windows_are_on_their_own(name: str, picture: Pictures) -> None:
    model: Any = store.load(name)
    x = picture(64, 32)
    with torch.inference_mode():
        whole = model.encode(x)
        assert whole.streams["ids"].axes == ("n",)
        assert whole.ids.shape == (1, 2 * model.row)
        upper, lower = (model.encode(part) for part in x.split(32, 2))
        assert torch.equal(whole.ids[:, ::2], upper.ids)
        assert torch.equal(whole.ids[:, 1::2], lower.ids)
        assert torch.equal(model.decode(whole), torch.cat([model.decode(upper), model.decode(lower)], 2))


@pytest.mark.parametrize("name", ROWS)
def test_pictures_do_not_depend_on_the_batch(name: str, picture: Pictures) -> None:
    model: Any = store.load(name)
    with torch.inference_mode():
        code = model.encode(picture(40, 32, batch=3))
        together = model.decode(code)
        assert all(torch.equal(together[i : i + 1], model.decode(code[i : i + 1])) for i in range(3))


@pytest.mark.parametrize("name", ROWS)
def test_fast_numerics_draw_nearly_the_same(name: str, picture: Pictures) -> None:
    stable, fast = (store.load(name, numerics=numerics) for numerics in ("stable", "fast"))
    with torch.inference_mode():
        code: Any = stable.encode(picture(64, 40))
        assert float((stable.decode(code) - fast.decode(code)).abs().mean()) < 0.01


@pytest.mark.parametrize("name", ROWS)
def test_a_photograph_goes_into_a_file_and_back(name: str, picture: Pictures) -> None:
    x = picture(50, 70)[0]
    found = decompress(compress(x, model=name))
    assert found.size == (70, 50)


def test_rows_of_another_length_are_refused(picture: Pictures) -> None:
    model: Any = store.load("titok_test")
    with torch.inference_mode():
        code = model.encode(picture(32, 32))
        stream = code.streams["ids"]
        with pytest.raises(InputError, match="have 6 ids in a row, not \\(5,\\)"):
            model.decode(replace(code, streams={"ids": replace(stream, ids=stream.ids[:, :5])}))
        with pytest.raises(InputError, match="ids are 0 to 63; these reach"):
            model.decode(replace(code, streams={"ids": replace(stream, ids=stream.ids + 60)}))


def test_published_bits() -> None:
    wanted = {"titok_s128": 1536, "titok_sl256_vq8k": 3328, "one_d_piece_s256": 3072, "retok_ss256": 3584}
    for name, bits in wanted.items():
        with torch.device("meta"):
            model: Any = create(name)
        assert float(model.blank((256, 256)).bits[0]) == bits


# --- what a rebuild gets wrong


def test_the_first_release_reads_features_across_queries() -> None:
    torch.manual_seed(0)
    trunk = Trunk(width=8, depth=1, heads=2, hidden=8)
    proper, legacy = (kind(trunk, 4, 2, 3, 5) for kind in (RowEncoder, InterleavedEncoder))
    legacy.load_state_dict(proper.state_dict())
    h = torch.arange(24.0).view(1, 3, 8)
    assert torch.equal(proper._ordered(h), h)
    assert legacy._ordered(h)[0].tolist() == [[float(n + 3 * c) for c in range(8)] for n in range(3)]
    x = torch.rand(1, 3, 8, 8)
    assert not torch.allclose(proper(x), legacy(x))


def test_a_block_of_another_width_forgets_what_came_in() -> None:
    torch.manual_seed(0)
    block = ForgetfulBlock(4, 6, 2)
    x = torch.randn(1, 4, 5, 5)
    torch.nn.init.zeros_(block.conv2.weight)
    assert not bool(block(x).any())
    assert {name for name, _ in block.named_parameters() if "bias" in name} == {"norm1.bias", "norm2.bias"}


def test_what_is_drawn_is_the_mean_code() -> None:
    model = create("titok_test")
    assert isinstance(model, TiTok)
    seen: list[Tensor] = []
    model.decoder.pixels.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    logits = torch.randn(1, 16, 16)
    model.decoder(logits)
    wanted = torch.einsum("pk,kz->zp", logits[0].softmax(-1), model.decoder.codebook)
    assert torch.allclose(seen[0].flatten(2)[0], wanted, atol=1e-5)


def test_colours_lie_innermost_in_a_patch() -> None:
    model: Any = create("titok_pixels_test")
    decoder = model.decoder
    torch.nn.init.zeros_(decoder.head.weight)
    decoder.head.bias.data = torch.arange(192.0)
    decoder.smooth.weight.data.zero_()
    decoder.smooth.bias.data.zero_()
    for c in range(3):
        decoder.smooth.weight.data[c, c, 1, 1] = 1
    drawn = decoder(torch.zeros(1, 6, 8))
    assert drawn[0, :, 0, 1].tolist() == [3, 4, 5]
    assert drawn[0, :, 9, 8].tolist() == [24, 25, 26]


# --- training


def test_training_reports_the_sheets_terms(picture: Pictures) -> None:
    model: Any = create("titok_test").train()
    found = model(picture(32, 32, batch=2))
    assert set(found.terms) == {"mse", "codebook", "commitment"}
    assert torch.allclose(found.terms["codebook"], found.terms["commitment"])
    assert found.aux["logits"].shape == (2, 16, 16)


def test_proxy_codes_are_the_ids_of_the_other_network(picture: Pictures, tmp_path: Path) -> None:
    path = tmp_path / "proxy.safetensors"
    teacher: Any = store.load("maskgit_vqgan_test")
    store.save(teacher, path, name="maskgit_vqgan_test")
    loss = ProxyCodes(file=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    model: Any = create("titok_test").train()
    x = picture(32, 32, batch=2)
    found = model(x)
    with pytest.raises(InputError, match="one window"):  # the tiny teacher has 8 x 8 places, the tiny student 4 x 4
        loss(x, torch.zeros(2), found)
    half = torch.nn.functional.avg_pool2d(x, 2)
    with torch.inference_mode():
        ids = teacher.encode(half).ids.flatten(1)
    sure = replace(found, aux={"logits": 50 * torch.nn.functional.one_hot(ids.clone(), 16).float()})
    assert float(loss(half, torch.zeros(2), sure).max()) < 1e-4
    unsure = loss(half, torch.zeros(2), replace(found, aux={"logits": torch.zeros(2, 16, 16)}))
    assert torch.allclose(unsure, torch.full((2,), 16.0).log())
    with pytest.raises(InputError, match="tells no logits"):
        loss(half, torch.zeros(2), replace(found, aux={}))


def test_a_few_steps_lower_the_error(picture: Pictures) -> None:
    torch.manual_seed(0)
    model: Any = create("titok_pixels_test").train()
    x = picture(32, 32, batch=4)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    errors: list[float] = []
    for _ in range(30):
        terms = model(x).terms
        loss = (terms["mse"] + terms["codebook"] + 0.25 * terms["commitment"]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        errors.append(float(terms["mse"].detach().mean()))
    assert errors[-1] < 0.3 * errors[0]


# --- real values


@pytest.fixture
def vae() -> TiTokVAE:
    model = store.load("titok_vae_test")
    assert isinstance(model, TiTokVAE)
    return model


def test_latents_are_the_means_of_each_window(vae: TiTokVAE, picture: Pictures) -> None:
    x = picture(64, 32)
    with torch.inference_mode():
        code = vae.encode(x)
        assert code.z.shape == (1, 12, 4)
        assert torch.equal(code.z[:, ::2], vae.moments(x[:, :, :32])[0])
        assert code.bits.tolist() == [12 * 4 * 32]
        with pytest.raises(InputError, match="latents of \\(12, 4\\), not \\(6, 4\\)"):
            vae.decode(Latents(z=code.z[:, :6], size=(64, 32)))


def test_the_distance_to_a_normal_is_in_nats(vae: TiTokVAE, picture: Pictures) -> None:
    x = picture(32, 32)
    terms = vae.train()(x).terms
    mean, log_variance = vae.moments(x)
    normal = torch.distributions.Normal(mean, (log_variance / 2).exp())
    wanted = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum()
    assert torch.allclose(terms["kl"][0], wanted, rtol=1e-4)


# --- checkpoints of the authors


NAMES = {
    "titok_test": titok.proxy_names,
    "titok_pixels_test": lambda _: titok.NAMES,
    "titok_vae_test": lambda _: titok.NAMES,
    "maskgit_vqgan_test": titok.maskgit_names,
    "one_d_piece_test": titok.proxy_names,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_of_the_authors_is_taken(name: str, tmp_path: Path) -> None:
    """Under their names, and with 1x1 convolutions where they have them."""
    model: Any = store.load(name)
    theirs = {NAMES[name](model).upstream(own): t.clone() for own, t in model.state_dict().items()}
    path = tmp_path / "theirs.pt"
    torch.save({"state_dict": theirs}, path)
    again = from_checkpoint(name, path)
    assert all(torch.equal(t, model.state_dict()[own]) for own, t in again.state_dict().items())
