"""Jobs in worker processes."""

import itertools
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path

import poolwork
import pytest

from tokodec.errors import MissingExtra, OutOfMemory
from tokodec.pool.pool import Pool
from tokodec.pool.worker import claim, portable


def test_results_come_in_the_order_of_the_jobs() -> None:
    with Pool(3, poolwork.numbers) as pool:
        assert [future.result() for future in pool.map(range(12))] == [n * n for n in range(12)]
        assert [future.result() for future in pool.map([5])] == [25], "the same workers again"
        assert list(pool.map([])) == []
    assert multiprocessing.active_children() == []


def test_jobs_are_asked_for_when_a_worker_is_free() -> None:
    asked = 0

    def jobs() -> Iterator[int]:
        nonlocal asked
        while True:
            asked += 1
            yield asked

    with Pool(2, poolwork.numbers) as pool:
        for done, _ in enumerate(itertools.islice(pool.map(jobs()), 20)):
            assert asked <= done + 1 + 2 * 4


def test_what_cannot_be_prepared_is_raised() -> None:
    with pytest.raises(MissingExtra, match=r"counting needs .*tokodec\[numbers\]"), Pool(2, poolwork.never) as pool:
        list(pool.map(range(3)))


def test_failures_are_of_their_jobs() -> None:
    whats = ["ours", "fine", "awkward", "fine"]
    with Pool(1, poolwork.troubles) as pool:
        errors = [future.exception() for future in pool.map(whats)]
    assert [type(error) for error in errors] == [MissingExtra, type(None), RuntimeError, type(None)]
    assert str(errors[2]) == "Awkward: 1 and 2"


def test_a_worker_that_is_lost_costs_its_job() -> None:
    with Pool(1, poolwork.troubles) as pool:
        done = list(pool.map(["fine", "killed", "fine", "ended", "fine"]))
    assert isinstance(done[1].exception(), OutOfMemory)
    assert "ended with code 3" in str(done[3].exception())
    assert len({done[i].result() for i in (0, 2, 4)}) == 3, "three processes"


def test_claims_stay_within_the_capacity(tmp_path: Path) -> None:
    log = tmp_path / "log"
    amounts = [3, 5, 1, 9, 4, 6, 2, 30, 5, 5]
    with Pool(3, poolwork.memory, capacity=10) as pool:
        for future in pool.map((log, amount) for amount in amounts):
            future.result()
    held = list(itertools.accumulate(int(line) for line in log.read_text().split()))
    assert held[-1] == 0
    assert max(held) == 30, "one that wants more than there is has it alone"
    assert sorted(held)[-2] <= 10


def test_a_claim_elsewhere_waits_for_nothing() -> None:
    claim(10**18)


def test_who_leaves_stops_the_work(tmp_path: Path) -> None:
    places = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(KeyboardInterrupt), Pool(2, poolwork.slow) as pool:
        for _ in pool.map(_until_begun(places)):
            pass
    assert list(tmp_path.iterdir()) == [], "workers cleaned up"
    assert multiprocessing.active_children() == []


def _until_begun(places: list[Path]) -> Iterator[Path]:
    yield places[0]
    while not places[0].exists():
        time.sleep(0.01)
    raise KeyboardInterrupt


def test_errors_that_travel_stay_what_they_are() -> None:
    error = MissingExtra("a", "b")
    assert portable(error) is error
    assert str(portable(poolwork.Awkward(1, 2))) == "Awkward: 1 and 2"


def test_every_worker_has_a_place_and_the_next_one_takes_that_of_a_lost_one() -> None:
    with Pool(2, poolwork.seats) as pool:
        assert {future.result() for future in pool.map([False] * 6)} == {0, 1}
        assert [type(future.exception()) for future in pool.map([True])] == [OutOfMemory]
        assert {future.result() for future in pool.map([False] * 6)} == {0, 1}
