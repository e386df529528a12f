"""What a run left: read again, chosen for a page, kept within a budget, and given to other projects."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from benched import PICTURES, SETTINGS, leave
from PIL import Image

from tokodec.cli import main
from tokodec.errors import CorruptFile, NoInput
from tokodec.eval.exchange.compressai import read_curve
from tokodec.eval.kept import Coded, Kept, Key, Nowhere
from tokodec.eval.report.chosen import chosen_pictures, chosen_settings, worst_first
from tokodec.eval.report.frames import LADDER, frames
from tokodec.eval.results import Results, read_results


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return leave(tmp_path / "out")


def silent(_ready: int, _total: int) -> None:
    pass


def test_columns_are_what_was_measured(results: Results) -> None:
    found = {c.key: (c.title, c.higher) for c in results.columns}
    assert next(iter(found)) == "bpp"
    assert found["psnr"] == ("PSNR, dB", True)
    assert found["lpips"] == ("LPIPS", False)
    assert found["encode_seconds"] == ("encode, s", False)
    assert [c.key for c in results.measures] == ["psnr", "lpips"]
    assert len(results.failed) == 1


def test_what_is_no_result_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(NoInput, match="tokodec bench run SUITE"):
        read_results(tmp_path)
    for text in ("{", "[]", '{"rows": []}', '{"protocol": 1, "points": [], "contestants": [], "rows": []}'):
        (tmp_path / "results.json").write_text(text)
        with pytest.raises(CorruptFile, match=r"results\.json: is no result"):
            read_results(tmp_path)


def test_what_is_kept_comes_back_and_nothing_else_does(tmp_path: Path) -> None:
    key = Key(identity="i", setting=0.5, picture="00", crop="native")
    pixels = np.random.default_rng(0).integers(0, 256, (9, 13, 3)).astype(np.uint8)
    store = Kept(tmp_path)
    assert store.find(key) is None
    assert store.size(key) is None
    store.keep(key, Coded(pixels=pixels, figures={"bytes": 7}, data=b"file"))
    found = store.find(key)
    assert found is not None
    assert (found.pixels == pixels).all()
    assert found.figures == {"bytes": 7}
    assert found.data == b"file"
    assert store.size(key) == (13, 9)
    file = (tmp_path / key.path).with_suffix(".bin")
    file.write_bytes(b"another")
    assert store.find(key) is None, "a picture of one file, another beside it"
    other = Key(identity="i", setting=0.25, picture="00", crop="native")
    (tmp_path / other.path).parent.mkdir(exist_ok=True)
    (tmp_path / key.path).rename(tmp_path / other.path)
    assert store.find(other) is None, "it says what it is"
    assert Nowhere().find(key) is None


def test_a_full_disk_keeps_nothing_and_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokodec.eval.kept.shutil.disk_usage", lambda _: type("Usage", (), {"free": 10**9})())
    key = Key(identity="i", setting=None, picture="00", crop="native")
    Kept(tmp_path).keep(key, Coded(pixels=np.zeros((4, 4, 3), np.uint8), figures={}, data=b""))
    assert Kept(tmp_path).find(key) is None


def test_settings_of_a_page_are_near_common_rates(results: Results) -> None:
    chosen = chosen_settings(results)
    assert chosen["fixed"] == [None]
    for name, own in chosen.items():
        assert own == [s for s in SETTINGS[name] if s in own], "in their order"
        assert own


def test_pictures_of_a_page_are_some_of_all_and_the_worst(results: Results) -> None:
    settings = chosen_settings(results)
    assert chosen_pictures(results, settings, 9) == list(PICTURES)
    assert chosen_pictures(results, settings, 2) == ["ape.png", "cat.png"], "the worst of those that did not fail"
    psnr, lpips = results.measures
    assert worst_first(results, psnr, "good", 0.0) == ["dog.png", "cat.png", "bee.png", "ape.png"]
    assert worst_first(results, psnr, "good", 0.5) == ["cat.png", "bee.png", "ape.png"], "what failed has no value"
    assert "ape.png" not in worst_first(results, lpips, "good", 0.0)


def test_frames_stay_within_their_budget(results: Results, tmp_path: Path) -> None:
    store = Kept(tmp_path / "out" / "cache")
    whole = frames(results, store, 10**7, silent)
    assert whole.step == LADDER[0]
    assert len(whole.frames) == 4 * (1 + 7) - 1, "the one that failed is not there"
    assert whole.missing == 0
    sizes = sum(len(frame.webp) for frame in whole.frames)
    for budget in (sizes - 1, sizes // 2, sizes // 8, sizes // 30):
        less = frames(results, store, budget, silent)
        assert sum(len(frame.webp) for frame in less.frames) <= budget
        assert less.step != LADDER[0]
    assert not frames(results, Nowhere(), 10**7, silent).frames


def test_large_pictures_are_shown_through_a_window_about_what_is_labelled(tmp_path: Path) -> None:
    results = leave(tmp_path)
    store = Kept(tmp_path / "cache")
    (tmp_path / "cache" / results.original("cat.png").path).unlink()
    large = np.zeros((3000, 4000, 3), np.uint8)
    store.keep(results.original("cat.png"), Coded(pixels=large, figures={}, data=b""))
    window = frames(results, store, 10**9, silent).windows["cat.png"]
    assert (window.left, window.top, window.right, window.bottom) == (0, 0, 2048, 2048), "the word is at 75, 50"
    assert (window.width, window.height) == (4000, 3000)
    assert window.cut(large).shape == (2048, 2048, 3)


def test_a_page_for_every_state_of_a_run(results: Results, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main.run(("bench", "report", str(tmp_path / "out"), "--quiet", "-o", str(tmp_path / "page.html"))) == 0
    assert capfd.readouterr().out.strip() == str(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert text.count('type="text/plain"') == 31
    assert "poor<b>" not in text
    data = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)[1])  # type: ignore[index]
    point = data["contestants"][0]["points"][1]
    assert point["rows"][3] == "OutOfMemory: <no> memory"
    assert point["frames"][3] is None
    assert data["boxes"][0]["score"] == "ned"
    assert not re.search(
        r"https?:",
        "".join(re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", text, re.DOTALL)).replace("http://www.w3.org/2000/svg", ""),
    )
    markdown = (tmp_path / "page.md").read_text()
    assert "| PSNR, dB | higher | of RGB |" in markdown
    assert "OutOfMemory" in markdown
    lines = (tmp_path / "page.csv").read_text().splitlines()
    assert lines[0].startswith("protocol,contestant,setting,pictures,bpp [bpp],bytes [B],psnr [dB]")
    assert len(lines) == 1 + 7
    assert {"rd_psnr.png", "rd_psnr.svg", "rd_lpips.png", "rd_lpips.svg"} <= {p.name for p in tmp_path.iterdir()}


def test_a_page_without_pictures_says_so(results: Results, tmp_path: Path) -> None:
    assert main.run(("bench", "report", str(tmp_path / "out"), "--quiet", "--cache", str(tmp_path / "nowhere"))) == 0
    assert "No decoded pictures were kept" in (tmp_path / "out" / "report.html").read_text()


def test_compressai_reads_what_we_write_and_we_read_it_back(results: Results, tmp_path: Path) -> None:
    assert main.run(("bench", "export", "compressai", str(tmp_path / "out"), "-o", str(tmp_path / "c"))) == 0
    files = sorted(p.name for p in (tmp_path / "c").iterdir())
    assert files == ["fixed.json", "good.json", "poor_b_.json"]
    content = json.loads((tmp_path / "c" / "good.json").read_text())
    assert set(content) == {"name", "description", "results"}
    assert content["results"]["bpp"] == sorted(content["results"]["bpp"])
    assert {"psnr-rgb", "encoding_time", "decoding_time", "bpp"} <= set(content["results"])
    assert len({len(values) for values in content["results"].values()}) == 1
    curve = read_curve(tmp_path / "c" / "good.json")
    means = [p["values"] for p in results.points if p["contestant"] == "good"]
    assert [p["psnr"] for p in curve.points] == [m["psnr"] for m in means]
    assert [p["encode_seconds"] for p in curve.points] == [m["encode_seconds"] for m in means]


def test_a_curve_of_compressai_stands_beside_ours_and_not_among_them(results: Results, tmp_path: Path) -> None:
    theirs = {
        "name": "mbt2018",
        "description": "Inference (ans)",
        "results": {"bpp": [0.1, 0.3], "psnr-rgb": [30, 33], "ms-ssim-rgb": [0.9, 0.95]},
    }
    (tmp_path / "t.json").write_text(json.dumps(theirs))
    assert main.run(("bench", "report", str(tmp_path / "out"), "--quiet", "--beside", str(tmp_path / "t.json"))) == 0
    text = (tmp_path / "out" / "report.html").read_text()
    assert "mbt2018 (elsewhere)" in text
    assert "which name no protocol" in text
    assert "mbt2018" not in (tmp_path / "out" / "report.csv").read_text()


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"results": {"bpp": [1]}}', '{"results": {"psnr": [1]}}', '{"results": {"bpp": [1, 2], "psnr": [3]}}',
     '{"results": {"bpp": ["a"], "psnr": [3]}}'],
)  # fmt: skip
def test_what_is_no_file_of_compressai(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(CorruptFile, match=r"t\.json: is no results file of CompressAI"):
        read_curve(tmp_path / "t.json")


def test_codec_compare_gets_a_batch_a_contestant_and_its_pictures(results: Results, tmp_path: Path) -> None:
    out = tmp_path / "c"
    assert main.run(("bench", "export", "codec-compare", str(tmp_path / "out"), "-o", str(out))) == 0
    assert json.loads((out / "batches.json").read_text()) == [["good.json"], ["poor_b_.json"], ["fixed.json"]]
    for (name,) in json.loads((out / "batches.json").read_text()):
        batch = json.loads((out / name).read_text())
        assert len(batch["constant_descriptions"]) == len(batch["constant_values"])
        names = [next(iter(d)) for d in batch["field_descriptions"]]
        assert {"original_name", "width", "height", "quality", "encoded_size", "encoding_time", "decoding_time", "psnr"} <= set(names)
        assert "lpips" not in names, "one picture has no value, which would be read as 0"
        assert all(len(row) == len(names) for row in batch["field_values"])
        constants = dict(zip((next(iter(d)) for d in batch["constant_descriptions"]), batch["constant_values"], strict=True))
        for row in batch["field_values"]:
            fields = dict(zip(names, row, strict=True))
            for path in ("original_path", "decoded_path"):
                filled = re.sub(r"\$\{(\w+)\}", lambda m, f=fields: str(f[m[1]]), constants[path])
                with Image.open(tmp_path / filled) as image:
                    assert image.size == (fields["width"], fields["height"])
    assert len(json.loads((out / "good.json").read_text())["field_values"]) == 3 * 4 - 1


def test_what_is_asked_wrongly(results: Results, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    assert main.run(("bench", "export", "bpg", out, "-o", "x")) == 2
    assert "there are codec-compare, compressai" in capfd.readouterr().err
    assert main.run(("bench", "export", "compressai", out)) == 2
    assert main.run(("bench", "report", str(tmp_path))) == 4
    assert main.run(("bench", "report", out, "--beside", "nothing.json")) == 4
    assert main.run(("bench", "report", out, "--pictures", "much")) == 2
