"""bench compare: pairs, conditions, exit codes, and what is refused."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tokodec.cli import main
from tokodec.errors import InputError
from tokodec.eval.compare import compare, condition

MEASURES = {"psnr": {"unit": "dB", "better": "higher"}, "words": {"unit": "", "better": "higher"}}


def results(psnr: float = 30.0) -> dict[str, Any]:
    rows = [
        {
            "contestant": name,
            "setting": setting,
            "picture": f"{i}.png",
            "error": None,
            "bytes": 1000 + 10 * i,
            "bpp": 0.5,
            "psnr": psnr + i + (setting or 0),
            "words": None,
            "encode_seconds": 0.1 * (i + 1),
        }
        for name, settings in (("codec", (0.2, 0.8)), ("tokens", (None,)))
        for setting in settings
        for i in range(4)
    ]
    return {"protocol": {"name": "s-v1-native", "hash": "ab" * 8, "measures": MEASURES}, "rows": rows}


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], dict[str, Any]]:
    monkeypatch.chdir(tmp_path)
    Path("new").mkdir()
    return results(), results()


def run(pair: tuple[dict[str, Any], dict[str, Any]], *more: str) -> int:
    Path("old.json").write_text(json.dumps(pair[0]))
    Path("new/results.json").write_text(json.dumps(pair[1]))
    return main.run(("bench", "compare", "old.json", "new", *more))


def worsen(found: dict[str, Any], by: float) -> None:
    """The codec at 0.8 alone."""
    for row in found["rows"]:
        row["psnr"] -= by if (row["contestant"], row["setting"]) == ("codec", 0.8) else 0.0


def test_equal_results_pass(pair: Any, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(pair, "--fail-if", "psnr<-0.05", "--fail-if", "bpp>0") == 0
    out = capfd.readouterr().out
    assert "0 results lost, 0 new" in out
    assert "| codec | 0.2 | psnr | 31.70 | 31.70 | +0.00 | +0.00 .. +0.00 | 1.0000 | 4 |" in out
    assert "words" not in out, "no picture has a value"


def test_a_condition_of_one_setting_fails(pair: Any, capfd: pytest.CaptureFixture[str]) -> None:
    worsen(pair[1], 0.1)
    assert run(pair, "--fail-if", "psnr<-0.05") == 9
    assert "psnr<-0.05: codec at 0.8: -0.1 over 4 pictures" in capfd.readouterr().err
    assert run(pair, "--fail-if", "psnr<-0.2") == 0
    assert run(pair) == 0, "nothing was asked"


def test_percent_is_of_the_old_mean(pair: Any) -> None:
    for row in pair[1]["rows"]:
        row["bytes"] = round(row["bytes"] * 1.02)
    assert run(pair, "--fail-if", "bytes > 1.5 %") == 9
    assert run(pair, "--fail-if", "bytes>3%") == 0


def test_lost_results_fail_where_something_was_asked(pair: Any, capfd: pytest.CaptureFixture[str]) -> None:
    pair[1]["rows"][2]["error"] = "it broke"
    assert run(pair, "--fail-if", "psnr<-5") == 9
    assert "1 results are lost, first codec at 0.2, 2.png" in capfd.readouterr().err
    assert run(pair) == 0


def test_pairs_are_of_the_same_pictures(pair: Any) -> None:
    del pair[1]["rows"][0]
    changes = {(c.contestant, c.setting, c.measure): c for c in compare(*pair).changes}
    change = changes["codec", 0.2, "psnr"]
    assert change.pictures == 3
    assert change.difference == 0
    assert change.old == change.new == pytest.approx(32.2)


def test_another_protocol_is_refused(pair: Any, capfd: pytest.CaptureFixture[str]) -> None:
    pair[1]["protocol"] = {**pair[1]["protocol"], "hash": "cd" * 8, "crop": "centre256"}
    assert run(pair, "--fail-if", "psnr<-0.05") == 2
    assert "crop differ" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [("psnr", "is no condition"), ("psnr<", "is no condition"), ("psnr=3", "is no condition"), ("lpips<0", "lpips is not compared"),
     ("words<0", "words is not compared; bpp, bytes, psnr can be")],
)  # fmt: skip
def test_conditions_that_cannot_be_checked_are_refused(pair: Any, text: str, message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(pair, "--fail-if", text) == 2
    assert message in capfd.readouterr().err


def test_times_are_compared_when_asked(pair: Any) -> None:
    for row in pair[1]["rows"]:
        row["encode_seconds"] *= 2
    assert run(pair, "--fail-if", "encode_seconds>50%") == 9


def test_files_that_are_no_results(pair: Any, capfd: pytest.CaptureFixture[str]) -> None:
    run(pair)
    assert main.run(("bench", "compare", "nowhere", "new")) == 2
    assert "nowhere cannot be read" in capfd.readouterr().err
    for text in ("{", "[]", '{"rows": []}'):
        Path("bad.json").write_text(text)
        assert main.run(("bench", "compare", "bad.json", "new")) == 2
        assert "holds no results" in capfd.readouterr().err


def test_nothing_in_common(pair: Any) -> None:
    other = copy.deepcopy(pair[1])
    for row in other["rows"]:
        row["picture"] = "another.png"
    with pytest.raises(InputError, match="in common"):
        compare(pair[0], other)


def test_json_holds_the_same(pair: Any, capfd: pytest.CaptureFixture[str]) -> None:
    worsen(pair[1], 1.0)
    assert run(pair, "--json", "--fail-if", "psnr<=-1") == 9
    found = json.loads(capfd.readouterr().out)
    assert found["failures"] == ["psnr<=-1: codec at 0.8: -1 over 4 pictures"]
    (change,) = [c for c in found["changes"] if (c["setting"], c["measure"]) == (0.8, "psnr")]
    assert (change["pictures"], change["difference"]) == (4, -1)


def test_conditions_are_read() -> None:
    found = condition(" psnr <= -.5e-1 ")
    assert (found.name, found.relation, found.bound, found.percent) == ("psnr", "<=", -0.05, False)
    assert condition("bpp>1%").percent
