"""The time that is left, and many pictures."""

import os
import time
from pathlib import Path

import pytest
from rich.console import Console

from tokodec.cli.meter import Meter, PacedBar, left
from tokodec.cli.options import Telling
from tokodec.cli.talk import lasting
from tokodec.eval.devices import devices
from tokodec.eval.pace import Pace
from tokodec.eval.run import Step
from tokodec.eval.suite import find_suite


def test_each_contestant_has_a_pace_of_its_own() -> None:
    now = 0.0
    pace = Pace(left={"quick": 10, "slow": 4}, clock=lambda: now)
    assert pace.seconds is None
    assert left(pace) == "?"
    for _ in range(10):
        now += 0.1
        pace.done("quick")
    assert pace.seconds == pytest.approx(4 * 0.1), "a guess"
    assert not pace.all_known
    assert left(pace).startswith("about ")
    now += 20
    pace.done("slow")
    assert pace.seconds == pytest.approx(60)
    assert left(pace) == "1 min 00 s left"
    assert pace.all_known


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (61, "1 min 01 s"), (3599.6, "1 h 00 min"), (7 * 3600 + 120, "7 h 02 min")])
def test_times_in_words(seconds: float, words: str) -> None:
    assert lasting(seconds) == words


def test_progress_tells_the_time_that_is_left(capfd: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    pace = Pace(left={"c": 3}, clock=lambda: now)
    row = {"contestant": "c", "setting": 0.5, "picture": "p.png", "error": None, "bpp": 0.25, "psnr": 31.0}
    meter = Meter(Telling(progress="auto"), "psnr")
    for done, changes in ((1, {}), (2, {"error": "ValueError: no"})):
        now += 30
        pace.done("c")
        meter(Step(row={**row, **changes}, done=done, total=3, pace=pace))
    meter.close()
    assert capfd.readouterr().err.splitlines() == [
        "1/3  1 min 00 s left  c at 0.5, p.png: 0.250 bpp, psnr 31",
        "tokodec: c at 0.5, p.png: ValueError: no",
    ]


def test_a_bar_says_it_in_words() -> None:
    bar = PacedBar(3)
    bar.start("1 min 00 s left  c")
    bar.close()
    console = Console(record=True, width=80)
    console.print(bar.progress.get_renderable())
    text = console.export_text()
    assert "1 min 00 s left" in text
    assert "-:--:--" not in text, "no second estimate beside it"


def test_ten_thousand_pictures_are_found_at_once(tmp_path: Path) -> None:
    """They are hashed, not opened."""
    (tmp_path / "one.png").write_bytes(os.urandom(1000))
    for i in range(10_000):
        (tmp_path / f"{i:05}.png").hardlink_to(tmp_path / "one.png")
    start = time.process_time()
    _, entries = find_suite(str(tmp_path), None)
    assert len(entries) == 10_001
    assert len({e.sha256 for e in entries}) == 1
    assert time.process_time() - start < 10


def test_devices_are_named_one_by_one() -> None:
    assert devices("cpu") == ("cpu",)
