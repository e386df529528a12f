"""tokodec tokenize and detokenize."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import draw, names, opened

from tokodec import files
from tokodec.media.pixels import to_uint8, to_unit
from tokodec.pretrained import store
from tokodec.tokenfile import read_tokens
from tokodec.tokenformats import FORMATS

TINY = ("-m", "vq_test")


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    draw("in/a.png", 40, 56)
    draw("in/b.jpg", 17, 90)
    draw("in/deep/c.png", 33, 33, 1)
    return tmp_path


@pytest.mark.parametrize("form", FORMATS)
def test_there_and_back_is_decode_of_encode_to_the_bit(tk: Any, pictures: Path, form: str) -> None:
    assert tk("tokenize", "in", "-r", "-o", f"t.{form}", *TINY).code == 0
    told = tk("detokenize", f"t.{form}", "-o", "out")
    assert told.code == 0
    assert names(Path("out")) == {"a.png", "b.png", "deep/c.png"}
    model = store.load("vq_test")
    for name in ("a.png", "b.jpg", "deep/c.png"):
        rgb = np.asarray(opened(f"in/{name}").convert("RGB"))
        with torch.inference_mode():
            wanted = to_uint8(model.decode(model.encode(to_unit(rgb))))[0]
        assert np.array_equal(np.asarray(opened(f"out/{Path(name).with_suffix('.png')}")), wanted)


def test_a_file_says_where_its_tokens_come_from(tk: Any, pictures: Path) -> None:
    tk("tokenize", "in/a.png", "-o", "t.npz", *TINY)
    file = read_tokens(Path("t.npz"))
    assert file.model == "vq_test"
    assert file.fingerprint == store.load("vq_test").fingerprint
    (record,) = file.records
    assert record.name == "a.png"
    assert len(record.tokens.sources[0]) == 64


def test_a_picture_that_fails_is_left_out(tk: Any, pictures: Path) -> None:
    Path("in/bad.png").write_bytes(b"no picture")
    told = tk("tokenize", "in", "-o", "t.jsonl", "--json", *TINY)
    assert told.code == 3
    assert [row["ok"] for row in told.rows] == [True, True, False]
    assert [record.name for record in read_tokens(Path("t.jsonl")).records] == ["a.png", "b.jpg"]


def test_when_all_fail_nothing_is_written(tk: Any, pictures: Path) -> None:
    assert tk("tokenize", "none.png", "-o", "t.npz", *TINY).code == 4
    assert not Path("t.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("in",), 2, "name the file of tokens with -o"),
        (("in", "-o", "t.txt"), 2, "names no format"),
        (("in", "-o", "t.npz", "--format", "zip"), 2, "no format 'zip'"),
        (("in", "-o", "t.npz", "--alpha", "keep"), 2, "hold no transparency"),
        (("in", "-o", "t.npz", "-m", "hyperprior_vr_test"), 2, "no discrete tokenizer"),
        (("in", "-o", "t.npz", "-m", "vq_tset"), 6, "did you mean vq_test"),
        (("in/a.png", "in/deep/../a.png", "-o", "t.npz"), 2, "the record a.png"),
        (("-r", "none", "-o", "t.npz"), 4, "no such file"),
        (("in/a.png", "-o", "in/a.png", "--format", "npz"), 2, "over an input"),
    ],
)
def test_what_is_asked_wrongly(tk: Any, pictures: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    told = tk("tokenize", *(() if "-m" in arguments else TINY), *arguments)
    assert (told.code, message in told.err, told.err.count("Traceback")) == (code, True, 0), told.err


def test_nothing_is_replaced_unasked(tk: Any, pictures: Path) -> None:
    Path("t.npz").write_bytes(b"mine")
    assert tk("tokenize", "in/a.png", "-o", "t.npz", *TINY).code == 5
    assert tk("tokenize", "in/a.png", "-o", "t.npz", "--skip-existing", *TINY).code == 0
    assert tk("tokenize", "in/a.png", "-o", "t.npz", "-f", "--dry-run", *TINY).code == 0
    assert Path("t.npz").read_bytes() == b"mine"
    assert tk("tokenize", "in/a.png", "-o", "t.npz", "-f", *TINY).code == 0
    assert tk("detokenize", "t.npz", "-o", "out").code == 0
    assert tk("detokenize", "t.npz", "-o", "out").code == 5
    assert tk("detokenize", "t.npz", "-o", "out", "--skip-existing").code == 0


def test_a_damaged_file_and_a_foreign_model(tk: Any, pictures: Path) -> None:
    tk("tokenize", "in/a.png", "-o", "t.jsonl", *TINY)
    text = Path("t.jsonl").read_text()
    Path("cut.jsonl").write_text(text[:-20])
    Path("other.jsonl").write_text(text.replace(read_tokens(Path("t.jsonl")).fingerprint.hex(), "00" * 8))
    Path("unknown.jsonl").write_text(text.replace("vq_test", "nobody"))
    Path("codec.jsonl").write_text(text.replace("vq_test", "hyperprior_vr_test"))
    for name in ("cut", "other", "unknown", "codec"):
        told = tk("detokenize", f"{name}.jsonl", "-o", "out")
        assert told.code == 7, (name, told.err)
        assert not Path("out/a.png").exists()


def test_a_name_never_leads_out_of_the_folder(tk: Any, pictures: Path) -> None:
    tk("tokenize", "in/a.png", "-o", "t.jsonl", *TINY)
    Path("t.jsonl").write_text(Path("t.jsonl").read_text().replace("a.png", "../a.png"))
    assert tk("detokenize", "t.jsonl", "-o", "out").code == 7
    assert not Path("a.png").exists()


def test_a_tokenizer_writes_tkd_files(tk: Any, pictures: Path) -> None:
    assert tk("in/a.png", "a.tkd", *TINY).code == 0
    assert tk("verify", "--decode", "a.tkd").code == 0
    assert tk("a.tkd", "a.png").code == 0
    tk("tokenize", "in/a.png", "-o", "t.npz", *TINY)
    tk("detokenize", "t.npz", "-o", "out")
    assert np.array_equal(np.asarray(opened("a.png")), np.asarray(opened("out/a.png")))
    assert "one rate" in tk("in/a.png", "b.tkd", "-q", "0.5", *TINY).err


def test_names_with_colons_go_there_and_back(tk: Any, pictures: Path) -> None:
    draw("odd/12:30 what?.png", 20, 20)
    assert tk("tokenize", "odd", "-o", "t.npz", *TINY).code == 0
    assert tk("detokenize", "t.npz", "-o", "out").code == 0
    assert names(Path("out")) == {"12:30 what?.png"}


def test_a_name_that_no_record_can_have_is_told_and_left_out(tk: Any, pictures: Path) -> None:
    draw("odd/a\nb.png", 20, 20)
    draw("odd/c.png", 20, 20)
    told = tk("tokenize", "odd", "-o", "t.npz", *TINY)
    assert told.code == 3
    assert "name of a record" in told.err
    assert [record.name for record in read_tokens(Path("t.npz")).records] == ["c.png"]


def test_pictures_may_go_into_this_folder(tk: Any, pictures: Path) -> None:
    assert tk("tokenize", "in/a.png", "-o", "t.npz", *TINY).code == 0
    assert tk("detokenize", "t.npz", "-o", ".").code == 0
    assert Path("a.png").is_file()


def test_records_with_one_place_are_told_first(tk: Any, pictures: Path) -> None:
    draw("in/a.jpg", 20, 20)
    assert tk("tokenize", "in", "-o", "t.npz", *TINY).code == 0
    told = tk("detokenize", "t.npz", "-o", "out")
    assert told.code == 2
    assert "a.jpg and a.png would both become out/a.png" in told.err
    assert not Path("out").exists()


def test_the_file_of_tokens_is_never_an_output(tk: Any, pictures: Path) -> None:
    assert tk("tokenize", "in/a.png", "-o", "a.png", "--format", "npz", *TINY).code == 0
    before = Path("a.png").read_bytes()
    assert tk("detokenize", "a.png", "-o", ".", "-f").code == 2
    assert Path("a.png").read_bytes() == before


def test_a_folder_that_is_not_there_is_told_before_the_work(tk: Any, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "tokenize", lambda *_: pytest.fail("worked for nothing"))
    told = tk("tokenize", "in", "-o", "new/t.npz", *TINY)
    assert (told.code, "there is no folder new" in told.err) == (2, True)


def test_fail_fast_leaves_no_file_without_the_rest(tk: Any, pictures: Path) -> None:
    Path("in/aa.png").write_bytes(b"no picture")
    told = tk("tokenize", "in", "-o", "t.npz", "--fail-fast", *TINY)
    assert told.code == 3
    assert "not written" in told.err
    assert not Path("t.npz").exists()


def test_dry_runs_print_what_would_be_done(tk: Any, pictures: Path) -> None:
    assert tk("tokenize", "in", "-o", "t.npz", "--dry-run", *TINY).out == b"in/a.png -> t.npz\nin/b.jpg -> t.npz\n"
    tk("tokenize", "in", "-o", "t.npz", *TINY)
    assert tk("detokenize", "t.npz", "-o", "out", "--dry-run").out == b"a.png -> out/a.png\nb.jpg -> out/b.png\n"
    assert not Path("out").exists()


def test_another_fingerprint_is_told_once(tk: Any, pictures: Path) -> None:
    tk("tokenize", "in", "-r", "-o", "t.npz", *TINY)
    model = store.load("vq_test")
    with torch.no_grad():
        next(model.encoder.parameters()).mul_(1.5)
    Path("own").mkdir()
    store.save(model, Path("own/model.safetensors"), name="vq_test")
    told = tk("detokenize", "t.npz", "-o", "out", "-m", "dir:own")
    assert told.code == 7
    assert told.err.count("fingerprint") == 1, "one line for the file, not one for each of three records"
    assert not Path("out").exists()
    assert tk("tokenize", "in", "-r", "-o", "own.npz", "-m", "dir:own").code == 0
    assert tk("detokenize", "own.npz", "-o", "out").code == 7
    assert tk("detokenize", "own.npz", "-o", "out", "-m", "dir:own").code == 0


def test_side_by_side_makes_the_same_file(tk: Any, pictures: Path) -> None:
    for form in FORMATS:
        assert tk("tokenize", "in", "-r", "-o", f"one.{form}", *TINY).code == 0
        assert tk("tokenize", "in", "-r", "-o", f"three.{form}", "-j", "3", *TINY).code == 0
        assert Path(f"one.{form}").read_bytes() == Path(f"three.{form}").read_bytes()


def test_transparency_is_laid_on_white_unless_told_otherwise(tk: Any, pictures: Path) -> None:
    draw("alpha.png", 40, 40, 4)
    ids = []
    for rule in ((), ("--alpha", "flatten=white"), ("--alpha", "drop")):
        assert tk("tokenize", "alpha.png", "-o", "t.npz", "-f", *rule, *TINY).code == 0
        ids.append(read_tokens(Path("t.npz")).records[0].tokens.ids)
    assert torch.equal(ids[0], ids[1])
    assert not torch.equal(ids[0], ids[2])


def test_what_is_held_while_tokenizing_is_the_ids(tk: Any, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[object] = []
    monkeypatch.setattr("tokodec.cli.tokens.write_parts", lambda _path, parts, _form: held.extend(parts.records))
    assert tk("tokenize", "in", "-o", "t.npz", *TINY).code == 0
    assert [s.ids.dtype.itemsize for r in held for s in r.streams.values()] == [2, 2]  # type: ignore[attr-defined]
