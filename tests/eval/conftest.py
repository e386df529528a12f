"""What tests of benchmarks share."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import pytest


class Alone:
    """Instead of a pool, the work in this process: starting Python several times takes longer than all of it."""

    def __init__(self, workers: int, prepare: Callable[[], Callable[[Any], Any]], *, preload: Sequence[str]) -> None:
        self.work = prepare()

    def __enter__(self) -> "Alone":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, jobs: Iterable[Any]) -> "Iterator[Future[Any]]":
        for job in jobs:
            future: Future[Any] = Future()
            try:
                future.set_result(self.work(job))
            except Exception as error:  # noqa: BLE001 - as a worker does
                future.set_exception(error)
            yield future


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokodec.eval.run.Pool", Alone)
