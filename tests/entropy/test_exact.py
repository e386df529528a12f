"""Integer nets and fixed-point gains: the same bits under every condition that may change a float."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tokodec.entropy import hyper
from tokodec.entropy.fixed import LEVELS, ONE, Exp2, FixedGain
from tokodec.entropy.hyper import ExactHyper
from tokodec.entropy.integer import IntegerChain
from tokodec.nn.chain import ConvChain, Link
from tokodec.nn.gain import Gain
from tokodec.pretrained import store

LINKS = (Link(width=48, kernel=3), Link(width=32, shuffle=2), Link(width=40, kernel=3), Link(width=50))


def chain(seed: int = 0) -> ConvChain:
    torch.manual_seed(seed)
    net = ConvChain(16, LINKS)
    for parameter in net.parameters():
        parameter.data.mul_(2)
    return net


def test_the_integer_chain_follows_the_float_chain() -> None:
    net = chain()
    samples = [torch.randn(2, 16, 9, 7).mul(6).round() for _ in range(4)]
    step = torch.full((16,), 24 / 127, dtype=torch.float64)
    exact = IntegerChain(net)
    with torch.no_grad():
        exact.quantise(net, step, samples)
        got = exact((samples[0] / step[None, :, None, None].float()).round()) * exact.convs[-1].unit[:, None, None]
        wanted = net(samples[0])
    assert float((got - wanted).square().mean() / wanted.square().mean()) < 1e-3


def conditions() -> dict[str, Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]]:
    def threads(net: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        torch.set_num_threads(2)
        try:
            return net(x)
        finally:
            torch.set_num_threads(1)

    def without_onednn(net: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of a switch for other hardware
            with torch.backends.mkldnn.flags(enabled=False):
                return net(x)

    def autocast(net: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return net(x)

    def low_precision(net: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("medium")
        try:
            return net(x)
        finally:
            torch.set_float32_matmul_precision(before)

    return {
        "two threads": threads,
        "channels_last": lambda net, x: net(x.contiguous(memory_format=torch.channels_last)),
        "one by one": lambda net, x: torch.cat([net(item[None]) for item in x]),
        "without oneDNN": without_onednn,
        "autocast": autocast,
        "low precision allowed": low_precision,
    }


@pytest.mark.parametrize("condition", conditions())
def test_sums_do_not_depend_on_how_they_are_computed(condition: str) -> None:
    exact = IntegerChain(chain())
    with torch.no_grad():
        exact.quantise(chain(), torch.ones(16, dtype=torch.float64), [torch.randn(2, 16, 8, 8).mul(30)])
    x = torch.randint(-127, 128, (3, 16, 24, 20)).float()
    assert torch.equal(conditions()[condition](exact, x), exact(x))


def test_sums_equal_those_in_float64_and_stay_below_the_mantissa() -> None:
    exact = IntegerChain(chain())
    worst = [torch.full((1, 16, 6, 6), 127.0), torch.full((1, 16, 6, 6), -127.0)]
    with torch.no_grad():
        exact.quantise(chain(), torch.ones(16, dtype=torch.float64), worst)
        for conv in exact.convs:
            x = torch.randint(0, 256, (2, conv.weight.shape[1], 10, 10)).float()
            sums = conv(x)
            wide = torch.nn.functional.conv2d(x.double(), conv.weight.double(), conv.bias.double(), padding=conv.padding)
            assert torch.equal(sums.double(), wide)
            reach = conv.weight.double().abs().flatten(1).sum(1) * 255 + conv.bias.double().abs()
            assert float(reach.max()) < 2**24


def test_fixed_gains_follow_the_trained_ones() -> None:
    gain = Gain(16, 5)
    gain.log2.data.normal_(0, 3)
    fixed = FixedGain(16, 5)
    fixed.copy_(gain)
    level = torch.arange(0, LEVELS, 7)
    error = fixed(level) / ONE - gain(level / (LEVELS - 1)).detach()
    assert float(error.abs().max()) < 2 / ONE


def test_exp2_is_exact_in_its_table_and_right() -> None:
    log2 = torch.arange(-20 * ONE, 20 * ONE, 3)
    exact = Exp2()(log2)
    torch.testing.assert_close(exact.double(), torch.exp2(log2.double() / ONE), rtol=1e-7, atol=0)
    assert torch.equal(Exp2()(torch.tensor([0, ONE, -3 * ONE])), torch.tensor([1.0, 2.0, 0.125]))


def test_code_tables_follow_the_scales() -> None:
    """A z that says nothing leaves the bias: the table must be the one whose scale is nearest."""
    net = ConvChain(4, (Link(width=6, kernel=3), Link(width=6)))
    for parameter in net.parameters():
        parameter.data.zero_()
    net.convs[-1].bias.data[3:] = torch.tensor([-5.0, 0.0, 3.0])
    exact = ExactHyper(net, rows=2, M=3, Z=4)
    exact.freeze(net, [torch.ones(1, 4, 2, 2)], Gain(2, 3), Gain(2, 4), Gain(2, 3), Gain(2, 4))
    with torch.no_grad():
        p = exact.predict(torch.zeros(1, 4, 1, 1, dtype=torch.int32), torch.tensor([5]), (1, 1))
    scales = 0.05 * 2 ** (p.index.flatten().double() / (63 / torch.log2(torch.tensor(64 / 0.05)).double()))
    torch.testing.assert_close(scales, torch.tensor([0.05, 1.0, 8.0], dtype=torch.float64), rtol=0.07, atol=0)


@pytest.mark.parametrize("strip", [1, 20, 45])
@pytest.mark.parametrize(("rows", "grid"), [(9, (36, 28)), (9, (33, 25)), (5, (17, 26)), (1, (3, 1))])
def test_strips_give_the_same_bits_as_the_whole(strip: int, rows: int, grid: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    exact = store.load("hyperprior_vr_test").exact
    assert isinstance(exact, ExactHyper)
    z = torch.randint(-9, 10, (1, exact.gain_z.rows.shape[1], rows, -(-grid[1] // 4)), dtype=torch.int32)
    level = torch.tensor([700])
    whole = exact.predict(z, level, grid)
    seen: list[Tensor] = []
    monkeypatch.setattr(hyper, "_STRIP", strip)
    parts = exact.predict(z, level, grid, seen.append)
    assert whole.index.unique().numel() > 1
    assert torch.equal(parts.index, whole.index)
    assert torch.equal(parts.mean, whole.mean)
    assert sum(s.shape[2] for s in seen) in (0, grid[0])
