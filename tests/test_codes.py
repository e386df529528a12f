"""Codes as values: pytrees, slices, files, and sequences for language models."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils import _pytree as pytree

from tokodec.codes import Bitstream, Latents, Stream, Symbols, Tokens
from tokodec.errors import CorruptFile, InputError, NoInput

AXES = [("n",), ("h", "w"), ("t", "h", "w"), ("n", "k"), ("h", "w", "k"), ("t", "h", "w", "k")]


def stream(axes: tuple[str, ...], seed: int = 0, batch: int = 2, varies: bool = False) -> Stream:
    generator = torch.Generator().manual_seed(seed)
    vocab = tuple(int(v) for v in torch.randint(1, 70_000, (3 if axes[-1] == "k" else 1,), generator=generator))
    shape = [int(torch.randint(1, 6, (), generator=generator)) for _ in axes if _ != "k"]
    ids = torch.stack([torch.randint(v, (batch, *shape), generator=generator) for v in vocab], -1)
    lengths = torch.randint(shape[0] + 1, (batch,), generator=generator) if varies else None
    if lengths is not None:
        for item, length in enumerate(lengths.tolist()):
            ids[item, length:] = 0
        ids = ids[:, : max(int(lengths.max()), 1)]
    return Stream(ids=ids if axes[-1] == "k" else ids[..., 0], axes=axes, vocab=vocab, lengths=lengths)


def tokens(*streams: Stream) -> Tokens:
    names = {f"s{i}": s for i, s in enumerate(streams)}
    return Tokens(streams=names, size=(40, 50), model="m.v1", fingerprint=b"12345678", sources=("ab" * 32, "cd" * 32))


def equal(a: Any, b: Any) -> bool:
    leaves_a, spec_a = pytree.tree_flatten(a)
    leaves_b, spec_b = pytree.tree_flatten(b)
    same = all(torch.equal(x, y) if isinstance(x, Tensor) else x == y for x, y in zip(leaves_a, leaves_b, strict=True))
    return same and spec_a == spec_b


CODES = [
    tokens(stream(("h", "w"))),
    tokens(stream(("h", "w", "k"), 1), stream(("n",), 2, varies=True)),
    Latents(z=torch.randn(2, 4, 3, 5), size=(24, 40)),
    Latents(z=torch.randn(2, 4, 3, 5).bfloat16(), size=(24, 40)),
    Bitstream(data=[b"abc", b""], size=(3, 4)),
    Symbols(
        values={"z": torch.ones(2, 1, 1, 1, dtype=torch.int32)}, level=torch.tensor([1, 2]), size=(3, 4), context={"m": torch.rand(2, 1)}
    ),
]


@pytest.mark.parametrize("code", CODES, ids=lambda c: type(c).__name__)
class TestEvery:
    def test_saved_and_loaded_is_the_same(self, code: Any, tmp_path: Path) -> None:
        code.save(tmp_path / "code.safetensors")
        again = type(code).load(tmp_path / "code.safetensors")
        assert again.size == code.size
        assert equal(again, code)
        assert [p.name for p in tmp_path.iterdir()] == ["code.safetensors"]

    def test_a_pytree_keeps_what_is_no_tensor(self, code: Any) -> None:
        assert equal(pytree.tree_map(lambda leaf: leaf, code), code)
        assert isinstance(pytree.tree_map(lambda leaf: leaf.shape if isinstance(leaf, Tensor) else leaf, code), type(code))

    def test_slices_are_items(self, code: Any) -> None:
        assert len(code) == 2
        assert len(code[1:]) == 1
        assert float(code[1:].bits[0]) == float(code.bits[1]) if not isinstance(code, Symbols) else True
        with pytest.raises((InputError, TypeError)):
            code["x"]

    def test_another_kind_is_refused(self, code: Any, tmp_path: Path) -> None:
        code.save(tmp_path / "code")
        other = Latents if not isinstance(code, Latents) else Tokens
        with pytest.raises(CorruptFile, match="not"):
            other.load(tmp_path / "code")


def test_slicing_keeps_the_right_source() -> None:
    assert tokens(stream(("h", "w")))[1:].sources == ("cd" * 32,)


def test_ids_take_two_bytes(tmp_path: Path) -> None:
    ids = torch.zeros(1, 100, 100, dtype=torch.int64)
    Tokens(streams={"ids": Stream(ids=ids, axes=("h", "w"), vocab=(65_536,))}, size=(1, 1)).save(tmp_path / "a")
    assert (tmp_path / "a").stat().st_size < 20_500


def test_a_saved_slice_does_not_hold_the_batch(tmp_path: Path) -> None:
    code = Latents(z=torch.randn(50, 4, 8, 8), size=(8, 8))
    code[:1].save(tmp_path / "one")
    assert (tmp_path / "one").stat().st_size < 1500


@pytest.mark.parametrize("data", [b"", b"x" * 100, b"\xff" * 8, (2**40).to_bytes(8, "little") + b"{}"])
def test_what_is_no_file_of_codes(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(CorruptFile):
        Tokens.load(tmp_path / "bad")
    with pytest.raises(NoInput):
        Tokens.load(tmp_path / "none")


def test_every_damaged_byte_of_the_header_is_told_or_harmless(tmp_path: Path) -> None:
    code = tokens(stream(("h", "w")))
    code.save(tmp_path / "code")
    data = (tmp_path / "code").read_bytes()
    for at in range(len(data)):
        (tmp_path / "code").write_bytes(data[:at] + bytes((data[at] ^ 4,)) + data[at + 1 :])
        try:
            Tokens.load(tmp_path / "code")
        except CorruptFile:
            continue


# --- sequences


@given(st.sampled_from(AXES), st.integers(0, 999), st.integers(0, 10**6), st.booleans())
@settings(deadline=None, max_examples=120)
def test_flatten_and_unflatten_are_inverse(axes: tuple[str, ...], seed: int, offset: int, separated: bool) -> None:
    code = tokens(stream(axes, seed), stream(("h", "w"), seed + 1))
    separator = offset + 10**7 if separated else None
    sequences = code.flatten(offset, separator)
    again = Tokens.unflatten(sequences, code, offset, separator)
    assert all(torch.equal(again.streams[n].ids, s.ids) for n, s in code.streams.items())
    assert (again.model, again.fingerprint, again.size) == (code.model, code.fingerprint, code.size)


@given(st.integers(0, 999), st.booleans())
@settings(deadline=None, max_examples=40)
def test_varying_lengths_come_back(seed: int, separated: bool) -> None:
    code = tokens(stream(("h", "w"), seed + 7), stream(("n",), seed, varies=True))
    separator = 10**7 if separated else None
    again = Tokens.unflatten(code.flatten(5, separator), code, 5, separator)
    last = again.streams["s1"]
    assert last.lengths is not None
    assert torch.equal(last.lengths, code.streams["s1"].lengths)
    wanted = code.streams["s1"].ids[:, : last.ids.shape[1]]
    assert torch.equal(last.ids, wanted)


def test_every_codebook_has_its_own_range() -> None:
    ids = torch.tensor([[[[0, 0], [1, 2]], [[1, 0], [0, 1]]]])
    code = Tokens(streams={"a": Stream(ids=ids, axes=("h", "w", "k"), vocab=(2, 3))}, size=(2, 2))
    assert code.flatten(100)[0].tolist() == [100, 102, 101, 104, 101, 102, 100, 103]
    assert code.flatten(100, row_separator=7)[0].tolist() == [100, 102, 101, 104, 7, 101, 102, 100, 103, 7]


@pytest.mark.parametrize(
    ("sequence", "separator", "message"),
    [
        ([0, 1, 2], None, "has 4 ids, the sequence has 3"),
        ([0, 1, 2, 9], None, "id 9 at place 3 is not one of 0 to 3"),
        ([0, 1, -1, 2], None, "id -1 at place 2"),
        ([0, 1, 7, 2, 3, 5], 7, "row 1 ends with 5 instead of the separator 7"),
        ([0, 1, 7, 2, 3], 7, "whole rows of 2"),
        ([0, 1, 2, 3], 2, "separator 2 not one of the ids 0 to 3"),
    ],
)
def test_sequences_that_do_not_fit(sequence: list[int], separator: int | None, message: str) -> None:
    like = Tokens(streams={"a": Stream(ids=torch.zeros(1, 2, 2, dtype=torch.int64), axes=("h", "w"), vocab=(4,))}, size=(2, 2))
    with pytest.raises(InputError, match=message):
        Tokens.unflatten([torch.tensor(sequence)], like, 0, separator)


@pytest.mark.parametrize("sequence", [torch.zeros(4), torch.zeros(2, 2, dtype=torch.int64), torch.zeros(4, dtype=torch.bool)])
def test_sequences_are_whole_numbers_along_one_axis(sequence: Tensor) -> None:
    like = Tokens(streams={"a": Stream(ids=torch.zeros(1, 2, 2, dtype=torch.int64), axes=("h", "w"), vocab=(4,))}, size=(2, 2))
    with pytest.raises(InputError, match="whole numbers"):
        Tokens.unflatten([sequence], like)
    with pytest.raises(InputError, match="no sequences"):
        Tokens.unflatten([], like)


@given(st.integers(0, 999), st.booleans())
@settings(deadline=None, max_examples=40)
def test_codebooks_of_varying_length_come_back(seed: int, separated: bool) -> None:
    code = tokens(stream(("n", "k"), seed, varies=True))
    separator = 10**7 if separated else None
    (again,) = Tokens.unflatten(code.flatten(5, separator), code, 5, separator).streams.values()
    (wanted,) = code.streams.values()
    assert again.lengths is not None
    assert torch.equal(again.lengths, wanted.lengths)
    assert torch.equal(again.ids, wanted.ids[:, : again.ids.shape[1]])


def test_only_sequences_vary_in_length() -> None:
    with pytest.raises(InputError, match="only a sequence"):
        Stream(ids=torch.zeros(1, 2, 2, dtype=torch.int64), axes=("h", "w"), vocab=(4,), lengths=torch.tensor([1]))


@pytest.mark.parametrize("wrong", [-1, 65_536])
def test_ids_out_of_range_are_not_saved(wrong: int, tmp_path: Path) -> None:
    code = Tokens(streams={"a": Stream(ids=torch.tensor([[wrong]]), axes=("n",), vocab=(65_536,))}, size=(1, 1))
    with pytest.raises(InputError, match="0 to 65535"):
        code.save(tmp_path / "t")
    assert not (tmp_path / "t").exists()
