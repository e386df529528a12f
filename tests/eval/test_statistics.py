"""Figures of a run whose rows are known: means, deltas, tests, win rates, worst pictures, tables."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tokodec.eval import summary, table
from tokodec.eval.deltas import deltas
from tokodec.eval.run import Done
from tokodec.eval.statistics import statistics

PICTURES = [f"p{i:02d}.png" for i in range(12)]
MEASURES: dict[str, dict[str, Any]] = {
    "psnr": {"of": "picture", "unit": "dB", "better": "higher", "ceiling": 100.0},
    "gmsd": {"of": "picture", "unit": "", "better": "lower"},
    "bits_file": {"of": "file", "unit": "bit", "better": "lower"},
    "words": {"unit": "", "better": "higher"},
}


def row(contestant: str, setting: float | None, picture: str, size: float, psnr: float) -> dict[str, Any]:
    return {
        "contestant": contestant,
        "identity": contestant,
        "setting": setting,
        "picture": picture,
        "error": None,
        "width": 100,
        "height": 100,
        "bytes": size,
        "bpp": size * 8 / 1e4,
        "psnr": psnr,
        "gmsd": 1 / psnr,
        "bits_file": 8 * size,
        "words": None if picture == "p03.png" else 0.5,
        "encode_seconds": 0.5,
        "decode_seconds": 0.25,
        "peak_bytes": 10**6,
    }


def done(better: float = 1.0) -> Done:
    """``good`` reaches ``better`` dB more than ``base`` at the same bytes on all pictures but the last; ``one`` has one rate."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for i, picture in enumerate(PICTURES):
        quality = 30 + rng.normal(0, 1)
        for s in (1, 2, 3, 4):
            size = 200.0 * 2**s
            rows.append(row("base", s, picture, size, quality + 3 * s))
            gain = -2.0 if picture == PICTURES[-1] else better + 0.01 * i
            rows.append(row("good", s, picture, size, quality + 3 * s + gain))
        rows.append(row("one", None, picture, 800.0, quality + 3 * 2 - 0.5))
    settings = {"base": (1, 2, 3, 4), "good": (1, 2, 3, 4), "one": (None,)}
    contestants = [{"name": name, "identity": name, "settings": s} for name, s in settings.items()]
    protocol = {"name": "s-v1-native", "hash": "0" * 16, "pictures": dict.fromkeys(PICTURES, ""), "measures": MEASURES}
    return Done(protocol=protocol, contestants=contestants, rows=rows, folder=Path())


def test_means_have_intervals_that_hold_them() -> None:
    found = summary.points(done())
    assert len(found) == 9
    for point in found:
        low, high = point.intervals["psnr"]
        assert low < point.values["psnr"] < high
        assert point.values["words"] is None, "a picture without a value leaves no mean"
        assert "words" not in point.intervals
        assert point.values["bits_file"] == 8 * point.values["bytes"]


def test_pictures_at_the_ceiling_are_counted_and_shown() -> None:
    run = done()
    for r in run.rows[:3]:
        r["psnr"] = 100.0
    found = summary.points(run)
    assert found[0].capped == {"psnr": 1}
    assert "≥ " in table.to_markdown(results(run))


def test_a_decibel_more_at_equal_bytes_is_found() -> None:
    run = done()
    by = {(d.contestant, d.figure, d.interpolation, d.measure): d for d in deltas(run, "base")}
    gain = by["good", "BD-quality", "PCHIP", "psnr"]
    expected = np.mean([1 + 0.01 * i for i in range(11)] + [-2.0])
    assert gain.value == pytest.approx(expected, abs=1e-6)
    assert gain.low is not None
    assert gain.high is not None
    assert gain.low < gain.value < gain.high
    assert gain.over_unit == "bpp"
    rate = by["good", "BD-rate", "Akima", "psnr"]
    assert rate.value == pytest.approx(100 * (2 ** (-expected / 3) - 1), abs=0.1)
    assert rate.over is not None
    assert 27 <= rate.over[0] < rate.over[1] <= 37
    down = by["good", "BD-rate", "PCHIP", "gmsd"]
    assert down.value is not None
    assert down.value < 0, "lower is better, so fewer bits"
    assert down.over is not None
    assert 0 < down.over[0] < down.over[1] < 0.05, "in the measure's own direction"
    assert by["one", "BD-rate", "PCHIP", "psnr"].reason == "one rate only"
    assert by["good", "BD-rate", "PCHIP", "words"].reason == "pictures without a value of words"
    assert ("good", "BD-rate", "PCHIP", "bits_file") not in by


def test_paired_tests_see_what_is_and_not_what_is_not() -> None:
    found = {(p.one, p.other, p.measure): p for p in statistics(done(), "base").paired}
    test = found["base", "good", "psnr"]
    assert test.difference == pytest.approx(-np.mean([1 + 0.01 * i for i in range(11)] + [-2.0]))
    assert test.low < test.difference < test.high
    assert test.p < 0.05
    assert all(p.p <= p.p_holm <= 3 * p.p for p in found.values())
    assert test.pictures == 12
    assert test.wins == pytest.approx(1 / 12)
    single = found["base", "one", "psnr"]
    assert single.difference == pytest.approx(0.5)
    assert single.wins == 1
    down = found["base", "good", "gmsd"]
    assert down.difference > 0, "in the measure's own unit"
    assert down.wins == pytest.approx(1 / 12), "who is better knows the direction"
    none = {(p.one, p.other, p.measure): p for p in statistics(done(better=0.0), "base").paired}["base", "good", "psnr"]
    assert none.p > 0.05


def test_win_rates_are_a_matrix_whose_halves_complete_each_other() -> None:
    wins = statistics(done(), "base").wins("psnr")
    for one in wins:
        for other in wins[one]:
            assert wins[one][other] + wins[other][one] == pytest.approx(1)
    assert wins["good"]["base"] == pytest.approx(11 / 12)


def test_ties_count_half() -> None:
    run = done()
    for r in run.rows:
        r["psnr"] = 30.0 + (r["setting"] or 0)
    assert statistics(run, "base").wins("psnr")["good"]["base"] == 0.5


def test_contestants_that_share_no_bytes_are_not_compared() -> None:
    run = done()
    for r in run.rows:
        r["bytes"] *= 1000 if r["contestant"] == "good" else 1
    assert {(p.one, p.other) for p in statistics(run, "base").paired} == {("base", "one")}


def test_the_worst_pictures_are_named() -> None:
    found = {(w.contestant, w.against, w.measure): w for w in statistics(done(), "base").worst}
    worst = found["good", "base", "psnr"]
    assert worst.pictures[0] == PICTURES[-1]
    assert worst.values[0] == pytest.approx(-2)
    assert list(worst.values) == sorted(worst.values)
    own = found["base", None, "gmsd"]
    assert list(own.values) == sorted(own.values, reverse=True), "of what is better lower the worst is the highest"


def test_a_failed_picture_counts_for_nobody() -> None:
    run = done()
    run.rows[0]["error"] = "it broke"
    assert {p.pictures for p in statistics(run, "base").paired} == {11}
    assert summary.points(run)[0].pictures == 11


def results(run: Done) -> table.Results:
    return table.Results(
        done=run, points=summary.points(run), deltas=deltas(run, "base"), statistics=statistics(run, "base"), anchor="base"
    )


def test_tables_follow_the_protocol() -> None:
    run = done()
    markdown, text = table.to_markdown(results(run)), table.to_json(results(run), "tokodec bench run")
    assert "| contestant | setting | bpp | psnr dB | gmsd (lower is better) | bits_file bit (lower is better) | words |" in markdown
    assert "BD-quality of psnr, Akima" in markdown
    assert "| good | 92% | - | 92% |" in markdown, "the win rates, base before good before one"
    found = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert len(found["rows"]) == len(run.rows)
    assert found["wins"]["psnr"]["good"]["base"] == pytest.approx(11 / 12)
    header = table.to_csv(run).splitlines()[0]
    assert (
        header
        == "contestant,setting,picture,width,height,bytes,bpp,psnr,gmsd,bits_file,words,encode_seconds,decode_seconds,peak_bytes,error"
    )
