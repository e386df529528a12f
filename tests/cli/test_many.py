"""Many inputs: neighbours' steps side by side in one process, and several processes."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import TINY, draw, names

from tokodec.cli import talk
from tokodec.cli.outcome import Outcome, Result
from tokodec.cli.paths import Job
from tokodec.cli.pipeline import AHEAD, BEHIND, overlapping
from tokodec.cli.steps import Work
from tokodec.errors import CorruptFile

JOBS = [Job(source=Path(str(i)), target=None) for i in range(20)]


class Steps(Work[int, int]):
    """Writes down what begins and ends. ``broken``: what fails."""

    def __init__(self, broken: str = "") -> None:
        self.broken = broken
        self.events: list[str] = []

    def read(self, job: Job) -> int:
        return self._do("read", int(str(job.source)))

    def weight(self, read: int) -> int:
        return 10

    def code(self, read: int) -> int:
        return self._do("code", read)

    def finish(self, coded: int) -> Result:
        return Result(size=self._do("finish", coded) + 1, pixels=1)

    def _do(self, step: str, number: int) -> int:
        self.events.append(f"begin {step} {number}")
        time.sleep(0.001 * (number % 3))
        if self.broken == f"{step} {number}":
            raise CorruptFile("broken")
        self.events.append(f"end {step} {number}")
        return number


def never(_: Outcome) -> bool:
    return False


def run(work: Steps, enough: Callable[[Outcome], bool] = never, room: int = 1000) -> list[Outcome]:
    return list(overlapping(work, enough, room, iter(JOBS)))


# --- one process


@pytest.mark.parametrize("step", ["read", "code", "finish"])
def test_outcomes_keep_their_order_and_failures_their_place(step: str) -> None:
    outcomes = run(Steps(f"{step} 7"))
    assert [outcome.job for outcome in outcomes] == JOBS
    assert [outcome.result and outcome.result.size for outcome in outcomes] == [None if i == 7 else i + 1 for i in range(20)]
    assert outcomes[7].failure is not None
    assert outcomes[7].failure.code == CorruptFile.exit_code


@pytest.mark.parametrize("step", ["read", "code", "finish"])
def test_after_what_is_enough_nothing_is_finished(step: str) -> None:
    work = Steps(f"{step} 7")
    outcomes = run(work, lambda outcome: outcome.failure is not None)
    assert len(outcomes) == 8
    assert [e for e in work.events if e.startswith("begin finish")] == [f"begin finish {i}" for i in range(7 + (step == "finish"))]


def test_only_so_many_are_at_work() -> None:
    work = Steps()
    run(work)
    at_work = [0]
    for event in work.events:
        at_work.append(at_work[-1] + (event.startswith("begin read")) - event.startswith("end finish"))
    assert at_work[-1] == 0
    assert max(at_work) <= AHEAD + 1 + BEHIND


def test_steps_of_neighbours_run_side_by_side() -> None:
    together = threading.Barrier(3, timeout=30)

    class Meeting(Steps):
        def _do(self, step: str, number: int) -> int:
            if (step, number) in (("read", 5), ("code", 4), ("finish", 3)):
                together.wait()
            return super()._do(step, number)

    assert all(outcome.failure is None for outcome in run(Meeting()))


def test_where_memory_is_short_one_is_finished_before_the_next_is_coded() -> None:
    work = Steps()
    assert len(run(work, room=19)) == 20
    for i in range(1, 20):
        assert work.events.index(f"end finish {i - 1}") < work.events.index(f"begin code {i}")


def test_an_interrupt_ends_the_threads() -> None:
    class Interrupted(Steps):
        def code(self, read: int) -> int:
            if read == 4:
                raise KeyboardInterrupt
            return super().code(read)

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run(Interrupted())
    assert threading.active_count() == before


def test_an_interrupt_leaves_nothing_half_written(tmp_path: Path) -> None:
    for i in range(6):
        draw(tmp_path / f"in/{i}.png")
    program = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored where the tests themselves run in the background
count, fsync = 0, os.fsync
def interrupt(number):
    global count
    count += 1
    if count == 3:
        os.kill(os.getpid(), signal.SIGINT)
    fsync(number)
os.fsync = interrupt
from tokodec.cli import main
sys.exit(main.run(sys.argv[1:]))
"""
    arguments = ["compress", "in", "-o", "out", *TINY]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
    )
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert {"0.tkd", "1.tkd"} <= names(tmp_path / "out") <= {f"{i}.tkd" for i in range(5)}


# --- several processes


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Pictures of several sizes, and what is none, in the middle and at the end."""
    for i in range(6):
        draw(tmp_path / f"in/{i}.png", 40 + i, 50)
    (tmp_path / "in/2a.png").write_text("no picture")
    (tmp_path / "in/9.png").write_bytes((tmp_path / "in/0.png").read_bytes()[:-30])
    return tmp_path / "in"


def said(text: str) -> str:
    """Without seconds and the folder of outputs."""
    return re.sub(r"\d+\.\d s|-> \w+/", "", text)


def test_processes_give_the_same_files_and_say_the_same(tk: Any, mixed: Path) -> None:
    one, two = (tk("compress", "in", "-o", out, "-j", jobs, *TINY) for out, jobs in (("one", "1"), ("two", "2")))
    assert (one.code, two.code) == (3, 3)
    assert said(two.err) == said(one.err)
    contents = [{p.name: p.read_bytes() for p in Path(out).iterdir()} for out in ("one", "two")]
    assert contents[0] == contents[1]
    assert len(contents[0]) == 6
    one, two = (tk("decompress", "one", "-o", out, "-j", jobs) for out, jobs in (("back1", "1"), ("back2", "2")))
    assert (one.code, two.code) == (0, 0)
    assert said(two.err) == said(one.err)
    assert {p.name: p.read_bytes() for p in Path("back1").iterdir()} == {p.name: p.read_bytes() for p in Path("back2").iterdir()}


def test_a_worker_reads_what_stdin_held(tk: Any, mixed: Path) -> None:
    data = Path("in/0.png").read_bytes()
    assert tk("compress", "-", "in/1.png", "-o", "out/", "-j", "2", *TINY, stdin=data).code == 0
    assert tk("compress", "in/0.png", "in/1.png", "-o", "two/", *TINY).code == 0
    assert Path("out/stdin.tkd").read_bytes() == Path("two/0.tkd").read_bytes()


def test_limits_hold_in_workers(tk: Any, mixed: Path) -> None:
    told = tk("compress", "in/0.png", "in/1.png", "-o", "out/", "-j", "2", "--max-memory", "100k", *TINY)
    assert told.code == 8
    assert told.err.count("need about") == 2


def test_what_workers_cannot_load_is_said_once(tk: Any, mixed: Path) -> None:
    one, two = (tk("compress", "in", "-o", "out", "-j", jobs, "-m", "hyperprior_vr_tset") for jobs in ("1", "2"))
    assert (two.code, two.err) == (one.code, one.err)
    assert two.code == 6


def test_fail_fast_begins_nothing_more(tk: Any, tmp_path: Path) -> None:
    Path("in").mkdir()
    Path("in/0.png").write_text("no picture")
    for i in range(1, 30):
        draw(f"in/{i:02}.png")
    told = tk("compress", "in", "-o", "out", "-j", "2", "--fail-fast", "--json", *TINY)
    assert told.code == 3
    assert "not begun" in told.err
    assert names(tmp_path / "out") == {Path(row["output"]).name for row in told.rows if row["ok"]}, "what was written was told"


def test_one_input_needs_no_process(tk: Any, mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise AssertionError("a pool for one")

    monkeypatch.setattr("tokodec.cli.workers.Pool", none)
    assert tk("compress", "in/0.png", "-j", "8", *TINY).code == 0


def test_an_interrupt_ends_the_processes(tk: Any, mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(line: str) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.chdir(mixed.parent)
    monkeypatch.setattr(talk, "say", interrupt)
    told = tk("compress", str(mixed), "-o", str(mixed.parent / "out"), "-j", "2", *TINY)
    assert told.code == 130
    assert multiprocessing.active_children() == []
    assert all(name.endswith(".tkd") and "tmp" not in name for name in names(mixed.parent / "out"))


@pytest.mark.slow
def test_ctrl_c_reaches_everybody(tmp_path: Path) -> None:
    for i in range(300):
        draw(tmp_path / f"in/{i:03}.png", 200, 300)
    program = "import sys\nfrom tokodec.cli import main\nsys.exit(main.run(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "compress", "in", "-o", "out", "-j", "2", *TINY]
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130, line + rest
    assert "Traceback" not in rest
    outputs = names(tmp_path / "out")
    assert 0 < len(outputs) < 300
    assert all(name.endswith(".tkd") and not name.startswith(".") for name in outputs)
