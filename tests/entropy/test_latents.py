"""The parts that published codecs are made of: convolutions, contexts, densities, Gaussians, and who walks."""

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tokodec.codecs.latent import LatentCodec
from tokodec.entropy import gaussian
from tokodec.entropy.checkerboard import Checkerboard
from tokodec.entropy.codetables import CodeTables, robust_counts
from tokodec.entropy.codingtables import LENGTHS, PRECISION
from tokodec.entropy.conditional import Conditional
from tokodec.entropy.context import CheckerContext, Context, Field, RasterContext
from tokodec.entropy.density import Density
from tokodec.entropy.part import Part, lattice_of, rows_of
from tokodec.entropy.quartercontext import QuarterContext
from tokodec.entropy.quarters import QUARTERS, mask, parts
from tokodec.entropy.rateddensity import RatedDensity
from tokodec.entropy.serial import Serial
from tokodec.entropy.slices import Slices
from tokodec.entropy.spacechannel import SpaceChannel
from tokodec.errors import InputError, WeightsMismatch
from tokodec.nn import winograd
from tokodec.nn.precise import PreciseConv, PreciseDeconv
from tokodec.nn.strided import Deconv
from tokodec.pretrained import store

SIDES = st.integers(1, 21)
CPU = torch.device("cpu")


# --- convolutions


@settings(max_examples=30, deadline=None)
@given(height=SIDES, width=SIDES, kernel=st.sampled_from([3, 5]), batch=st.integers(1, 3), seed=st.integers(0, 99))
def test_winograd_is_a_convolution(height: int, width: int, kernel: int, batch: int, seed: int) -> None:
    torch.manual_seed(seed)
    x, weight, bias = torch.randn(batch, 3, height, width).double(), torch.randn(4, 3, kernel, kernel).double(), torch.randn(4).double()
    expected = F.conv2d(x, weight, bias, padding=kernel // 2)
    assert float((winograd.conv(x, winograd.kernels(weight), bias) - expected).abs().max()) < 1e-11


def test_winograd_works_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, bias = torch.randn(2, 3, 50, 9).double(), torch.randn(4, 3, 5, 5).double(), torch.randn(4).double()
    whole = winograd.conv(x, winograd.kernels(weight), bias)
    monkeypatch.setattr(winograd, "_TILES_AT_ONCE", 6)
    assert torch.allclose(winograd.conv(x, winograd.kernels(weight), bias), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [PreciseConv, PreciseDeconv])
def test_precise_layers_are_the_plain_ones(kind: Any) -> None:
    layer = kind(20, 6, 3).double()
    x = torch.randn(2, 20, 9, 14).double()
    with torch.no_grad():
        fast = layer(x)
    assert torch.allclose(fast, layer(x).detach(), rtol=0, atol=1e-12)  # with gradients: PyTorch's


@pytest.mark.parametrize("kind", [PreciseConv, PreciseDeconv])
def test_precise_layers_notice_new_weights(kind: Any) -> None:
    layer, other = kind(20, 6, 3).double(), kind(20, 6, 3).double()
    x = torch.randn(1, 20, 5, 6).double()
    with torch.no_grad():
        layer(x)
        layer.load_state_dict(other.state_dict())
        assert torch.equal(layer(x), other(x))
        layer.weight.mul_(2)
        assert not torch.equal(layer(x), other(x))


@pytest.mark.parametrize("width", [3, 8, 9])
def test_a_transposed_convolution_is_four_phases(width: int) -> None:
    layer, x = Deconv(5, width), torch.randn(2, 5, 6, 7)
    with torch.no_grad():
        found = layer(x)
    assert found.shape == (2, width, 12, 14)
    assert torch.allclose(found, layer(x).detach(), rtol=0, atol=1e-5)


# --- parts and contexts


@settings(max_examples=30, deadline=None)
@given(height=SIDES, width=SIDES, start=st.integers(0, 3), size=st.integers(1, 3), seed=st.integers(0, 99))
def test_a_part_put_back_is_the_whole(height: int, width: int, start: int, size: int, seed: int) -> None:
    torch.manual_seed(seed)
    lattice = torch.randn(2, 6, height, width)
    rows = rows_of(lattice)
    assert torch.equal(lattice_of(rows, (height, width)), lattice)
    places = torch.randperm(height * width)[: 1 + height * width // 2]
    part = Part(start=start, stop=start + size, places=places)
    zeros = torch.zeros_like(rows)
    pasted = part.paste(zeros, part.cut(rows))
    assert torch.equal(part.cut(pasted), part.cut(rows))
    assert int((pasted != 0).sum()) == int((part.cut(rows) != 0).sum())


@pytest.mark.parametrize("kind", [RasterContext, CheckerContext])
@pytest.mark.parametrize("grid", [(1, 1), (2, 9), (7, 4)])
def test_a_context_at_some_places_is_the_convolution_there(kind: type[Context], grid: tuple[int, int]) -> None:
    context, lattice = kind(3, 4), torch.randn(2, 3, *grid)
    field = Field(2, 3, grid, lattice)
    everywhere = torch.arange(grid[0] * grid[1])
    field.put(everywhere, rows_of(lattice))
    assert torch.equal(field.rows, rows_of(lattice))
    assert torch.allclose(context.looking(field)(everywhere), rows_of(context(lattice)), atol=1e-6)


def _conditionals() -> list[Conditional]:
    nothing = nn.Identity()
    quarters = QuarterContext(8, nothing, [nothing] * 3, nothing)
    return [Serial(6), Checkerboard(6), SpaceChannel((2, 4), ((), (0,)), ((5, 5), (5, 5)), (3, 3), 7), Slices(6, 3, 8, (4, 4), 2), quarters]


@pytest.mark.parametrize("conditional", _conditionals(), ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("grid", [(1, 1), (1, 7), (6, 2), (5, 8)])
def test_every_latent_is_coded_once(conditional: Conditional, grid: tuple[int, int]) -> None:
    seen = torch.zeros(1, grid[0] * grid[1], conditional.channels)
    for part in conditional.parts(grid, CPU):
        seen = part.paste(seen, part.cut(seen) + 1)
    assert bool((seen == 1).all())


@pytest.mark.parametrize("step", range(4))
def test_runs_and_turns_are_the_same_quarters(step: int) -> None:
    """Of four channels there is one in each quarter, either way."""
    grid = (6, 4)
    seen = torch.zeros(1, 24, QUARTERS)
    for part in parts(step, QUARTERS, grid, CPU):
        seen = part.paste(seen, part.cut(seen) + 1)
    assert torch.equal(lattice_of(seen, grid)[0].bool(), mask(step, QUARTERS, grid, CPU))
    assert int(seen.sum()) == 24


@pytest.mark.parametrize(("conditional", "kind"), [(Serial(2), RasterContext), (Checkerboard(2), CheckerContext)])
def test_nothing_is_looked_at_before_it_is_known(conditional: Conditional, kind: type[Context]) -> None:
    """Unknown latents are nan: they would show."""
    grid = (6, 7)
    field = Field(1, 2, grid, torch.zeros(1))
    everywhere = torch.arange(grid[0] * grid[1])
    field.put(everywhere, torch.full((1, len(everywhere), 2), math.nan))
    look = kind(2, 3).looking(field)
    for number, part in enumerate(conditional.parts(grid, CPU)):
        assert part.places is not None
        if number or isinstance(conditional, Serial):
            assert not bool(look(part.places).isnan().any())
        field.put(part.places, torch.ones(1, len(part.places), 2))


# --- probabilities


def test_gaussian_tables_are_gaussian_and_ascend() -> None:
    tables = gaussian.USUAL.tables()
    radii = [(len(t) - 2) // 2 for t in tables]
    assert radii == sorted(radii)
    assert all(int(t.sum()) == 1 << PRECISION for t in tables)
    for index in (20, 40):
        scale = gaussian.SCALE_MIN * math.exp(gaussian.USUAL.step * index)
        values = torch.arange(-2.0, 3.0)[:, None]
        bits = gaussian.gaussian_bits(values, torch.full_like(values, scale))
        counted = PRECISION - np.log2(tables[index][radii[index] - 2 : radii[index] + 3])
        assert np.allclose(np.minimum(bits.numpy(), 15.9), np.minimum(counted, 15.9), atol=0.02)


def test_bits_of_all_values_are_a_distribution() -> None:
    values = torch.arange(-60.0, 61.0)[:, None]
    assert float(gaussian.gaussian_bits(values, torch.full_like(values, 7.3)).neg().exp2().sum()) == pytest.approx(1, abs=1e-5)


def test_a_scale_has_the_table_above_it() -> None:
    scales = torch.tensor([-3.0, 0.0, 0.109, 0.111, 1.0, 255.0, 1e6]).double()
    tables = torch.exp(torch.linspace(math.log(0.11), math.log(256), 64).double())
    assert gaussian.USUAL.table_of(gaussian.USUAL.place(scales)).tolist() == torch.bucketize(scales, tables[:-1]).tolist()


def test_a_density_costs_what_its_table_says() -> None:
    density = Density(3)
    with torch.no_grad():
        for p in (*density.matrices, *density.biases, *density.factors):
            p.add_(0.1 * torch.randn_like(p))
        density.quantiles.copy_(torch.tensor([-30.0, 0.4, 30.0]).expand(3, 1, 3))
    values = torch.randint(-9, 10, (1, 3, 4, 5))
    bits = float(density.bits(values + density.medians[:, 0, 0, None, None]).detach())
    tables = density.tables()
    counted = sum(PRECISION - math.log2(tables[c][(len(tables[c]) - 2) // 2 + int(v)]) for c in range(3) for v in values[0, c].flatten())
    assert bits == pytest.approx(counted, rel=1e-3)


def test_a_rated_density_costs_what_its_tables_say() -> None:
    density = RatedDensity(3, 2)
    with torch.no_grad():
        for p in density.parameters():
            p.add_(0.5 * torch.randn_like(p))
        density.h[0][1] += 3  # narrow ones
    values, rate = torch.randint(-6, 7, (2, 2, 4, 5)), torch.tensor([1, 2])
    bits = density.bits(values.float(), rate).detach()
    tables = density.tables()
    assert len(tables) == density.rows
    radii = [(len(t) - 2) // 2 for t in tables]
    assert min(radii) >= 8
    for item in range(2):
        rows = [2 * int(rate[item]) + c for c in range(2)]
        counted = sum(
            PRECISION - math.log2(tables[row][radii[row] + int(v)]) for c, row in enumerate(rows) for v in values[item, c].flatten()
        )
        assert float(bits[item]) == pytest.approx(counted, rel=0.02)
        for row in rows:
            assert tables[row][-1] <= 2**10  # next to nothing is escaped


def test_tables_narrower_than_a_scale() -> None:
    tables = gaussian.Gaussians(count=128, low=0.11, high=16.0)
    assert [tables.narrower(s) for s in (0.0, 0.1, 0.11, 0.12, 0.15, 16.0, 99.0)] == [0, 0, 1, 3, 9, 128, 128]
    assert len(tables.tables()) == 128


def test_only_quantiles_follow_their_loss() -> None:
    density = Density(4)
    density.quantile_loss().backward()
    assert {name for name, p in density.named_parameters() if p.grad is not None} == {"quantiles"}


def test_quantiles_find_their_place() -> None:
    torch.manual_seed(0)
    density = Density(2)
    optimiser = torch.optim.Adam([density.quantiles], lr=1.0)
    for _ in range(600):
        optimiser.zero_grad()
        density.quantile_loss().backward()
        optimiser.step()
    below = torch.sigmoid(density._logits(density.quantiles)).detach()
    assert torch.allclose(below[:, 0, 1], torch.tensor(0.5), atol=0.02)
    assert float(below[:, 0, 0].max()) < 1e-8
    assert float((1 - below[:, 0, 2]).max()) < 1e-6  # as near as float32 shows


# --- tables with the weights


def test_tables_take_the_length_that_is_loaded() -> None:
    filled, fresh = CodeTables(2), CodeTables(2)
    filled.fill([robust_counts(np.ones(2 * r + 2)) for r in (8, 9)])
    fresh.load_state_dict(filled.state_dict())
    assert fresh.coding.tables == 2
    assert fresh.radius.tolist() == [8, 9]


@pytest.mark.parametrize("damage", ["counts", "radius", "none"])
def test_tables_that_are_none_are_refused(damage: str) -> None:
    tables = CodeTables(1)
    if damage != "none":
        tables.fill([robust_counts(np.ones(18))])
        getattr(tables, damage)[0] += 1
        assert tables.counts.numel() == 18 + LENGTHS
    with pytest.raises(WeightsMismatch, match="code tables"):
        _ = tables.coding


# --- who walks


@pytest.fixture
def bordering() -> LatentCodec:
    """A codec all of whose scales stand exactly on a border between tables."""
    model = store.load("mean_scale_test")
    assert isinstance(model, LatentCodec)
    last = [m for m in model.path.modules() if isinstance(m, nn.Conv2d)][-1]
    half = last.out_channels // 2
    step = gaussian.USUAL.step
    assert last.bias is not None
    last.weight[:half] = 0
    last.bias[:half] = gaussian.SCALE_MIN * math.exp(30 * step)
    exact = [m for m in model.exact.modules() if isinstance(m, nn.Conv2d)][-1]
    assert exact.bias is not None
    exact.bias[:half] = gaussian.SCALE_MIN * math.exp(30 * step)  # more exactly than float32 could
    return model


def test_scales_on_a_border_are_nudged(bordering: LatentCodec, picture: Any) -> None:
    x = picture(40, 56, batch=2)
    with torch.inference_mode():
        symbols = bordering.symbols(x)
        assert symbols.level.tolist() == [1, 1]
        data = bordering.write(symbols)
        assert [payload[0] for payload in data] == [1, 1]
        assert bordering.read(data, symbols.size).crc32() == symbols.crc32()


def test_scales_that_no_nudge_helps_are_an_error(bordering: LatentCodec, picture: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokodec.entropy.roles.MARGIN", 1.0)
    with torch.inference_mode(), pytest.raises(InputError, match="no code tables"):
        bordering.symbols(picture(20, 20))


@pytest.mark.parametrize("name", ["joint_ar_test", "elic_test", "cheng2020_checkerboard_test", "factorized_test"])
def test_what_follows_from_symbols_can_be_found_again(name: str, picture: Any) -> None:
    model = store.load(name)
    assert isinstance(model, LatentCodec)
    with torch.inference_mode():
        symbols = model.symbols(picture(50, 70, batch=2))
        bare = type(symbols)(values=symbols.values, level=symbols.level, size=symbols.size)
        assert model.write(bare) == model.write(symbols)
        assert torch.equal(model.synthesise(bare), model.synthesise(symbols))


def test_symbols_go_to_a_file_and_back(picture: Any, tmp_path: Path) -> None:
    model = store.load("mean_scale_test")
    assert isinstance(model, LatentCodec)
    with torch.inference_mode():
        symbols = model.symbols(picture(33, 47))
        symbols.save(tmp_path / "symbols.safetensors")
        again = type(symbols).load(tmp_path / "symbols.safetensors")
        assert model.write(again) == model.write(symbols)


@pytest.mark.parametrize("name", ["joint_ar_test", "cheng2020_attn_test"])
def test_no_error_of_arithmetic_grows_along_a_serial_context(name: str, picture: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over 600 waves, what one order of summation writes another reads: a batch of three, then items and other convolutions."""
    model = store.load(name)
    assert isinstance(model, LatentCodec)
    with torch.inference_mode():
        symbols = model.symbols(picture(3072, 256, batch=3))
        data = model.write(symbols)
        assert [model.read([payload], symbols.size).crc32()[0] for payload in data] == symbols.crc32()
        monkeypatch.setattr("tokodec.nn.precise._WIDE", 1 << 30)
        assert model.read(data[:1], symbols.size).crc32() == symbols.crc32()[:1]


def test_weights_that_change_in_place_are_noticed(picture: Any) -> None:
    model = store.load("mean_scale_test")
    assert isinstance(model, LatentCodec)
    x = picture(40, 40)
    with torch.no_grad():
        before = model.encode(x).data
        for p in model.path.parameters():
            p.mul_(1.5)
        assert model.encode(x).data != before
        copied = copy.deepcopy(model)
        assert copied.encode(x).data == model.encode(x).data


def test_latents_that_are_no_numbers_are_refused(picture: Any) -> None:
    model = store.load("mean_scale_test")
    x = picture(20, 20)
    x[0, 0, 3, 4] = math.nan
    with torch.inference_mode(), pytest.raises(InputError, match="out of range"):
        model.encode(x)
