"""Files of tokens: three formats that hold the same, and nothing believed that one says."""

import json
import os
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tokodec import storage
from tokodec.codes import Stream, Tokens
from tokodec.errors import CorruptFile, InputError, NoInput
from tokodec.tokenfile import Record, TokenFile, is_safe, read_tokens, write_tokens
from tokodec.tokenformats import FORMATS


def record(name: str, seed: int, *, several: bool = False) -> Record:
    generator = torch.Generator().manual_seed(seed)
    streams = {"ids": Stream(ids=torch.randint(16_384, (1, 3, 4 + seed), generator=generator), axes=("h", "w"), vocab=(16_384,))}
    if several:
        streams["line"] = Stream(
            ids=torch.randint(99_000, (1, 7, 2), generator=generator), axes=("n", "k"), vocab=(99_000, 100_000), lengths=torch.tensor([7])
        )
    size = (40, 60 + seed)
    return Record(name=name, tokens=Tokens(streams=streams, size=size, model="m.v1", fingerprint=b"8 bytes.", sources=("ab" * 32,)))


FILE = TokenFile(model="m.v1", fingerprint=b"8 bytes.", records=(record("a.png", 0), record("b/c d.jpg", 1, several=True)), writer="test 1")


def same(a: TokenFile, b: TokenFile) -> bool:
    def plain(file: TokenFile) -> list[object]:
        return [
            (
                (r.name, r.tokens.size, r.tokens.model, r.tokens.fingerprint, r.tokens.sources),
                [(n, s.ids.tolist(), s.axes, s.vocab, s.lengths is None) for n, s in r.tokens.streams.items()],
            )
            for r in file.records
        ]

    return (a.model, a.fingerprint, a.writer, plain(a)) == (b.model, b.fingerprint, b.writer, plain(b))


@pytest.mark.parametrize("form", FORMATS)
def test_written_and_read_is_the_same(form: str, tmp_path: Path) -> None:
    write_tokens(tmp_path / f"tokens.{form}", FILE)
    assert same(read_tokens(tmp_path / f"tokens.{form}"), FILE)
    write_tokens(tmp_path / "named.otherwise", FILE, form)
    assert same(read_tokens(tmp_path / "named.otherwise"), FILE)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["named.otherwise", f"tokens.{form}"]


def test_ids_take_two_bytes_each(tmp_path: Path) -> None:
    ids = torch.zeros(1, 100, 100, dtype=torch.int64)
    tokens = Tokens(streams={"ids": Stream(ids=ids, axes=("h", "w"), vocab=(16_384,))}, size=(1600, 1600))
    for form in ("npz", "safetensors"):
        write_tokens(tmp_path / "t", TokenFile(model="m", fingerprint=b"", records=(Record(name="a", tokens=tokens),)), form)
        assert (tmp_path / "t").stat().st_size < 21_000


def test_numpy_reads_an_npz(tmp_path: Path) -> None:
    write_tokens(tmp_path / "t.npz", FILE)
    with np.load(tmp_path / "t.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["0/ids"], FILE.records[0].tokens.ids[0].numpy())


def test_a_suffix_without_a_format(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="npz, safetensors, jsonl"):
        write_tokens(tmp_path / "t.txt", FILE)
    with pytest.raises(NoInput):
        read_tokens(tmp_path / "none.npz")


def mutants(data: bytes, count: int, seed: int) -> list[bytes]:
    rng = np.random.default_rng(seed)
    found: list[bytes] = []
    for _ in range(count):
        spoilt = bytearray(data)
        kind, at = int(rng.integers(4)), int(rng.integers(len(data)))
        if kind == 0:
            spoilt[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del spoilt[at:]
        elif kind == 2:
            spoilt[at:at] = rng.bytes(int(rng.integers(1, 9)))
        else:
            del spoilt[at : at + int(rng.integers(1, 40))]
        found.append(bytes(spoilt))
    return found


def hold(data: bytes, path: Path) -> None:
    """A file says exactly what was written into it; or it is refused."""
    path.write_bytes(data)
    try:
        file = read_tokens(path)
    except CorruptFile as error:
        said = str(error)
    else:
        assert same(file, FILE)
        return
    assert "\n" not in said


@pytest.mark.parametrize("form", FORMATS)
def test_damaged_files_are_read_or_refused(form: str, tmp_path: Path) -> None:
    write_tokens(tmp_path / "whole", FILE, form)
    for data in mutants((tmp_path / "whole").read_bytes(), 300, 0):
        hold(data, tmp_path / "spoilt")


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_ten_thousand_damaged_files(form: str, tmp_path: Path) -> None:
    write_tokens(tmp_path / "whole", FILE, form)
    for data in mutants((tmp_path / "whole").read_bytes(), 10_000, 1):
        hold(data, tmp_path / "spoilt")


HEAD = {"tokodec_tokens": 0, "model": "m", "fingerprint": ""}
RECORD = {
    "name": "a",
    "source": "",
    "size": [16, 16],
    "streams": {"ids": {"axes": ["h", "w"], "vocab": [4], "shape": [1, 2], "ids": [1, 3]}},
}


def lines(*changes: dict[str, object], head: dict[str, object] | None = None) -> bytes:
    rows = [{**RECORD, **change} for change in changes]
    return "".join(json.dumps(row) + "\n" for row in [{**HEAD, **(head or {})}, *rows]).encode()


def stream(**changes: object) -> dict[str, object]:
    return {"streams": {"ids": {**RECORD["streams"]["ids"], **changes}}}  # type: ignore[index]


def test_the_lines_below_are_wrong_in_one_thing_each(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(lines({}))
    assert read_tokens(tmp_path / "t").records[0].tokens.ids.tolist() == [[[1, 3]]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lines({}, head={"tokodec_tokens": 1}), "version 1"),
        (lines({}, {}), "one name"),
        (lines({"name": "../a"}), "record name"),
        (lines({"name": "/a"}), "record name"),
        (lines({"name": "a\n"}), "record name"),
        (lines({"name": "c:\\a"}), "record name"),
        (lines({"name": ""}), "record name"),
        (lines({"size": [0, 1]}), "cannot be"),
        (lines({"size": [1 << 30, 1]}), "cannot be"),
        (lines({"streams": {}}), "cannot be"),
        (lines(stream(ids=[1, 4])), "not below its vocabulary"),
        (lines(stream(ids=[1, -1])), "whole numbers"),
        (lines(stream(ids=[1, 1.5])), "whole numbers"),
        (lines(stream(ids=[1, 2**70])), "whole numbers"),
        (lines(stream(ids=[[1], [2]])), "whole numbers"),
        (lines(stream(shape=[2, 2])), "do not make a lattice"),
        (lines(stream(shape=[1 << 40, 1 << 40])), "do not make a lattice"),
        (lines(stream(vocab=[])), "do not make a lattice"),
        (lines(stream(axes=["h"])), "do not fit the axes"),
        (lines({}, head={"fingerprint": "zz"}), "16 hexadecimal"),
        (b"{}\n", "damaged"),
        (b"[" * 100_000, "no file of tokens"),
        (b'{"a":' * 50_000, "damaged"),
        (b"", "no file of tokens"),
    ],
)
def test_files_that_claim_what_cannot_be(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(data)
    with pytest.raises(CorruptFile, match=message):
        read_tokens(tmp_path / "t")


def test_npz_that_claims_more_than_it_has(tmp_path: Path) -> None:
    write_tokens(tmp_path / "whole", FILE, "npz")
    data = (tmp_path / "whole").read_bytes()
    assert data.count(b"(3, 4)") == 1
    (tmp_path / "t").write_bytes(data.replace(b"(3, 4)", b"(9, 9)"))
    with pytest.raises(CorruptFile):
        read_tokens(tmp_path / "t")


def test_a_deflated_npz_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tokodec.json", json.dumps({**HEAD, "records": []}) + " " * 10_000_000)
    with pytest.raises(CorruptFile, match=r"more bytes than it has|deflated"):
        read_tokens(tmp_path / "t")


# --- what is written can be read, and what is read is what was written


@pytest.mark.parametrize("form", FORMATS)
def test_a_bit_counts_or_makes_no_difference(form: str, tmp_path: Path) -> None:
    write_tokens(tmp_path / "whole", TokenFile(model="m.v1", fingerprint=b"8 bytes.", records=FILE.records[:1], writer="w"), form)
    data = (tmp_path / "whole").read_bytes()
    whole = read_tokens(tmp_path / "whole")
    for at in range(0, len(data), 3):
        (tmp_path / "t").write_bytes(data[:at] + bytes((data[at] ^ 1 << at % 8,)) + data[at + 1 :])
        try:
            file = read_tokens(tmp_path / "t")
        except CorruptFile:
            continue
        assert same(file, whole), at


@pytest.mark.parametrize("remove", [slice(1, 2), slice(2, 3)], ids=["first", "last"])
def test_a_line_that_is_missing_is_seen(remove: slice, tmp_path: Path) -> None:
    write_tokens(tmp_path / "t.jsonl", FILE)
    rows = (tmp_path / "t.jsonl").read_text().splitlines(keepends=True)
    del rows[remove]
    (tmp_path / "t.jsonl").write_text("".join(rows))
    with pytest.raises(CorruptFile, match=r"checksum|records of the 2"):
        read_tokens(tmp_path / "t.jsonl")


def test_the_checksum_is_what_the_page_says(tmp_path: Path) -> None:
    """The recipe of docs/tokens.md, written down a second time."""
    write_tokens(tmp_path / "t.jsonl", FILE)
    head, *rows = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    once = [0, "test 1", "m.v1", b"8 bytes.".hex(), 2]
    assert head["crc32"] == zlib.crc32("".join(f"{v}\0" for v in once).encode())
    for number, row in enumerate(rows):
        data = "".join(f"{v}\0" for v in (number, row["name"], row["source"], *row["size"])).encode()
        for name, s in row["streams"].items():
            words = [name, "varies" if s.get("varies") else "", *s["axes"], *s["vocab"], *s["shape"]]
            data += "".join(f"{v}\0" for v in words).encode() + np.array(s["ids"], "<u4").tobytes()
        assert row["crc32"] == zlib.crc32(data)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("12:30.png", True),
        ("what?.png", True),
        ('a "b" <c>|*.png', True),
        ("a\\b.png", True),
        ("été/日本.png", True),
        ("..a/b..png", True),
        ("a/../../b", False),
        ("a\\..\\..\\b", False),
        ("\\\\server\\share\\a", False),
        ("c:a", False),
        ("..", False),
        (".", False),
        ("a\0b", False),
        ("a\x1b[2J", False),
        ("\udcff.png", False),
        ("a" * 1025, False),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="which allows fewer names")
def test_names_that_files_have_pass_and_those_that_lead_away_do_not(name: str, safe: bool, tmp_path: Path) -> None:
    assert is_safe(name) == safe
    file = TokenFile(model="m.v1", fingerprint=b"8 bytes.", records=(record(name, 0),))
    if safe:
        write_tokens(tmp_path / "t.npz", file)
        assert read_tokens(tmp_path / "t.npz").records[0].name == name
    else:
        with pytest.raises(InputError, match="name of a record"):
            write_tokens(tmp_path / "t.npz", file)
        assert not (tmp_path / "t.npz").exists()


def one(ids: Tensor, vocab: int) -> Tokens:
    return Tokens(streams={"ids": Stream(ids=ids, axes=("n",), vocab=(vocab,))}, size=(1, 1))


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ((Record(name="a", tokens=one(torch.tensor([[1], [2]]), 4)),), "holds one picture"),
        ((Record(name="a", tokens=one(torch.tensor([[70_000]]), 65_536)),), "0 to 65535"),
        ((Record(name="a", tokens=one(torch.tensor([[-1]]), 4)),), "0 to 3"),
        ((record("a", 0), record("a", 1)), "one name"),
        ((Record(name="a", tokens=replace(one(torch.tensor([[1]]), 4), fingerprint=b"another.")),), "not made by"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(records: tuple[Record, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        write_tokens(tmp_path / "t.npz", TokenFile(model="m.v1", fingerprint=b"8 bytes.", records=records))
    assert not (tmp_path / "t.npz").exists()


def test_ids_that_are_no_whole_numbers(tmp_path: Path) -> None:
    bare = {name: {k: v for k, v in s.items() if k != "ids"} for name, s in RECORD["streams"].items()}  # type: ignore[attr-defined]
    meta = {**HEAD, "records": [{**RECORD, "streams": bare}]}
    (tmp_path / "t").write_bytes(storage.pack({"0/ids": torch.tensor([[1.7, -0.5]])}, meta))
    with pytest.raises(CorruptFile, match="uint16 or uint32"):
        read_tokens(tmp_path / "t")


def test_lines_of_json_may_hold_other_line_ends(tmp_path: Path) -> None:
    row = json.dumps({**RECORD, "source": "a\u2028b"}, ensure_ascii=False)
    (tmp_path / "t").write_text(json.dumps(HEAD) + "\n" + row + "\n", encoding="utf-8")
    assert read_tokens(tmp_path / "t").records[0].tokens.sources == ("a\u2028b",)
