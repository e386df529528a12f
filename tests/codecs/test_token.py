"""Ids as bytes: exact, never much longer than plain ids, and nothing believed that a payload says."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tokodec.api import DiscreteTokenizer, Output, Pixels, Sampler, Stream, Tokens
from tokodec.codecs.token import PLAIN, PRIOR, TokenCodec
from tokodec.entropy.idcoder import IdCoder
from tokodec.entropy.idnet import whole
from tokodec.entropy.idprior import IdPrior
from tokodec.errors import CorruptFile, InputError
from tokodec.pretrained import store


@pytest.fixture
def codec() -> TokenCodec:
    model = store.load("vq_test")
    assert isinstance(model, DiscreteTokenizer)
    return TokenCodec(model)


@pytest.fixture(scope="module")
def coder() -> IdCoder:
    """Of a prior that is sure of something: the codes of neighbours are alike."""
    return trained(60, 3)[0]


def trained(size: int, dim: int) -> tuple[IdCoder, IdPrior, Tensor]:
    torch.manual_seed(0)
    prior, codes = IdPrior(size=size, dim=dim, width=16), F.normalize(torch.randn(size, dim), dim=1)
    prior.arm()
    assert prior.net is not None
    grids = torch.randint(size, (4, 1, 1)).expand(4, 12, 12).clone()
    grids[:, ::3, ::2] = torch.randint(size, (4, 4, 6))
    optimiser = torch.optim.Adam(prior.net.parameters(), 2e-2)
    for _ in range(60):
        loss = prior(grids, codes).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        net_bits = float(prior.net(grids, whole(codes)).mean())
    prior.freeze(list(grids.split(1)), codes)
    coder = IdCoder(prior.frozen())
    exact_bits = np.mean([coder.bits(grid.numpy()) / grid.numel() for grid in grids])
    assert abs(exact_bits - net_bits) < 0.15 + 0.02 * net_bits, "the integers are not the net"
    return coder, prior, codes


@given(st.integers(1, 23), st.integers(1, 23), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_ids_under_a_prior_come_back(coder: IdCoder, height: int, width: int, seed: int) -> None:
    ids = np.random.default_rng(seed).integers(0, 60, (height, width))
    data = coder.encode(ids)
    assert np.array_equal(coder.decode(data, (height, width)), ids)
    assert 0 <= 8 * len(data) - coder.bits(ids) <= 96 + 0.001 * ids.size


def test_what_a_prior_expects_costs_less(coder: IdCoder) -> None:
    likely, unlikely = np.full((16, 16), 7), np.random.default_rng(0).integers(0, 60, (16, 16))
    assert len(coder.encode(likely)) < 0.8 * len(coder.encode(unlikely))


@pytest.mark.parametrize("size", [2, 3, 50, 257])
def test_vocabularies_that_fill_no_square(size: int) -> None:
    coder, prior, _ = trained(size, 2)
    ids = np.random.default_rng(1).integers(0, size, (9, 11))
    assert np.array_equal(coder.decode(coder.encode(ids), (9, 11)), ids)
    assert prior.net is None, "floats stayed"


def test_a_large_lattice_is_coded_strip_by_strip(coder: IdCoder) -> None:
    ids = np.random.default_rng(2).integers(0, 60, (70, 130))
    assert np.array_equal(coder.decode(coder.encode(ids), (70, 130)), ids)


def test_a_frozen_prior_holds_integers(codec: TokenCodec) -> None:
    prior = codec.tokenizer.prior  # type: ignore[attr-defined]
    assert list(prior.parameters()) == []
    big = IdPrior(size=16_384, dim=8)
    assert sum(t.numel() * t.element_size() for t in big.state_dict().values()) < 300_000


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (40, 56), (100, 30), (256, 256)])
@pytest.mark.parametrize("kind", ["picture", "noise"])
def test_no_payload_is_longer_than_plain_ids_and_a_byte(codec: TokenCodec, picture: Any, size: tuple[int, int], kind: str) -> None:
    x = picture(*size) if kind == "picture" else torch.rand(1, 3, *size)
    with torch.inference_mode():
        symbols = codec.symbols(x)
        (data,) = codec.write(symbols)
    assert len(data) <= float(codec.tokenizer.blank(size).bits[0]) / 8 + 2
    assert codec.read([data], size).crc32() == symbols.crc32()


def test_a_quality_is_refused(codec: TokenCodec, picture: Any) -> None:
    with pytest.raises(InputError, match="vq_test has one rate"):
        codec.symbols(picture(16, 16), 0.5)


@pytest.mark.parametrize("way", [PLAIN, PRIOR])
def test_claims_that_bytes_cannot_hold_are_refused_at_once(codec: TokenCodec, way: int) -> None:
    with pytest.raises(CorruptFile):
        codec.check(bytes((way,)) + bytes(64), (2**20, 2**20))


@pytest.mark.parametrize("payload", [b"", b"\x02", b"\xff" * 9, b"\x00", b"\x01", b"\x01abc", b"\x01" + bytes(8)])
def test_payloads_that_are_none(codec: TokenCodec, payload: bytes) -> None:
    with pytest.raises(CorruptFile):
        codec.read([payload], (64, 64))


def test_the_fingerprint_covers_the_prior() -> None:
    one, other = store.load("vq_test"), store.load("vq_test")
    assert isinstance(one, DiscreteTokenizer)
    assert isinstance(other, DiscreteTokenizer)
    other.prior.fine_logits.sub_(1)  # type: ignore[attr-defined]
    assert one.fingerprint == other.fingerprint
    assert TokenCodec(one).fingerprint != TokenCodec(other).fingerprint


class Several(DiscreteTokenizer):
    """Two streams, one of them with two codebooks, without a prior."""

    name = "several"
    fingerprint = b"12345678"

    def __init__(self) -> None:
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def blank(self, size: tuple[int, ...]) -> Tokens:
        return self._tokens(1, size, lambda *shape: torch.empty(*shape, dtype=torch.int64, device="meta"))

    def encode(self, x: Pixels, *, quality: object = None) -> Tokens:
        seeds: Iterator[int] = iter(range(100))
        return self._tokens(
            x.shape[0],
            tuple(x.shape[2:]),
            lambda *shape: torch.randint(3, shape, generator=torch.Generator().manual_seed(next(seeds))),
        )

    def _tokens(self, b: int, size: tuple[int, ...], make: Any) -> Tokens:
        h, w = (-(-n // 8) for n in size)
        grid = Stream(ids=make(b, h, w, 2), axes=("h", "w", "k"), vocab=(3, 1000))
        return Tokens(streams={"grid": grid, "line": Stream(ids=make(b, 5), axes=("n",), vocab=(7,))}, size=size)

    def decode(self, code: Tokens, *, sampler: Sampler | None = None) -> Pixels:
        self.seen = code
        return torch.zeros(len(code), 3, *code.size)

    def forward(self, x: Pixels, *, quality: object = None) -> Output:
        raise AssertionError


def test_several_streams_and_codebooks() -> None:
    tokenizer = Several()
    codec = TokenCodec(tokenizer)
    symbols = codec.symbols(torch.rand(2, 3, 20, 33))
    again = codec.read(codec.write(symbols), (20, 33))
    assert again.crc32() == symbols.crc32()
    codec.synthesise(again)
    tokens = tokenizer.encode(torch.rand(2, 3, 20, 33))
    for name, stream in tokens.streams.items():
        assert torch.equal(tokenizer.seen.streams[name].ids, stream.ids)
        assert tokenizer.seen.streams[name].axes == stream.axes
