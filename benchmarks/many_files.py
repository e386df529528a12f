"""Many files: a plain loop in one process, the command in one process, and the command with --jobs. Start-up apart.

    python -m benchmarks.many_files FOLDER [--rounds 5] [--jobs 2] [--peer-python PYTHON] [-o RESULT.json]

Each side is a process of its own that codes all pictures of FOLDER and says when each is done, in turns, in each round:

- *loop*: ``read_picture``, ``files.encode`` (which reads back what it wrote), ``write_whole``; and the other way ``read_bytes``,
  ``files.decode``, ``encode_picture``, ``write_whole``.
- *one process*: ``tokodec compress FOLDER`` or ``decompress``; *--jobs 2*: the same with two processes.
- *CompressAI*: the same loop with its mbt2018_mean (N = 128, M = 192), random weights whose latents and scales are like those of
  a trained one, one thread; it reads nothing back, so there is more work in ours.

*Files a second* is of the fourth file and those after it: by then everything has started. *First file* is the time from the
start of the process to its first result: what a command for one file costs. Times are wall time, which is what working side
by side is to save, so *busy elsewhere*, the share of the processors that other programs had meanwhile, stands beside them.
Ratios are to the loop of the same round; quartiles are over rounds.
"""

import argparse
import datetime as dt
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bystanders import Watch, wait_for_quiet

WARM = 3
"""So many first files are not counted."""
QUIET = 0.05
"""Others may have this share of the processors, or a run is made again."""
TOKODEC = (sys.executable, "-c", "import sys; from tokodec.cli.main import main; sys.exit(main())")
LOOP = (sys.executable, "-m", "benchmarks.many_files_loop")
PEER = str(Path(__file__).with_name("many_files_peer.py"))
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Side:
    """A program for each direction, before the names of folders: where files are and where results go. ``threads``: of torch, if set."""

    compress: tuple[str, ...]
    decompress: tuple[str, ...]
    between: tuple[str, ...] = ()
    threads: int | None = None

    def command(self, direction: str, source: Path, target: Path) -> list[str]:
        """What is run."""
        return [*getattr(self, direction), str(source), *self.between, str(target)]


def command(verb: str, *flags: str) -> tuple[str, ...]:
    """The command, which says in JSON when a file is done."""
    return (*TOKODEC, verb, "--json", "--quiet", "-f", *flags)


def sides(jobs: int, numerics: str, peer_python: str | None) -> Mapping[str, Side]:
    """Who takes part, by name; the first is what others are compared with."""
    flags = ("--numerics", numerics)
    loops = {v: (*LOOP, v, numerics) for v in ("compress", "decompress")}
    found = {
        "loop": Side(**loops),
        "loop, one thread": Side(**loops, threads=1),
        "one process": Side(compress=command("compress", *flags), decompress=command("decompress", *flags), between=("-o",)),
        f"--jobs {jobs}": Side(
            compress=command("compress", *flags, "-j", str(jobs)),
            decompress=command("decompress", *flags, "-j", str(jobs)),
            between=("-o",),
        ),
    }
    if peer_python:
        found["CompressAI"] = Side(compress=(peer_python, PEER, "compress"), decompress=(peer_python, PEER, "decompress"), threads=1)
    return found


@dataclass(frozen=True, kw_only=True)
class Run:
    """Seconds from the start of a process to each of its results; its peak memory in bytes; how busy processors were elsewhere."""

    done: list[float]
    peak: int
    elsewhere: float

    @property
    def rate(self) -> float:
        """Files a second, warm."""
        return (len(self.done) - 1 - WARM) / (self.done[-1] - self.done[WARM])

    def row(self) -> dict[str, Any]:
        """As it stands in the results."""
        return {"rate": self.rate, "first": self.done[0], "all": self.done[-1], "peak": self.peak, "elsewhere": self.elsewhere}


def measured(side: Side, direction: str, source: Path, target: Path) -> Run:
    """One run of one side. A line on stdout is a file that is done."""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    if side.threads:
        environment["OMP_NUM_THREADS"] = str(side.threads)
    command, start = side.command(direction, source, target), time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, cwd=ROOT, start_new_session=True
    )
    assert process.stdout
    watch = Watch(process.pid)
    done = [time.perf_counter() - start for _ in process.stdout]
    elsewhere = watch.stop()
    if process.wait():
        raise SystemExit(f"{shlex.join(command)} failed")
    return Run(done=done, peak=watch.peak, elsewhere=elsewhere)


def undisturbed(measure: Callable[[], Run], tries: int, patience: float) -> Run:
    """The run that was disturbed least, of as many as it takes for one that hardly was."""
    best: Run | None = None
    for _ in range(tries):
        wait_for_quiet(QUIET, patience)
        run = measure()
        best = run if best is None or run.elsewhere < best.elsewhere else best
        if best.elsewhere < QUIET:
            break
    assert best
    return best


def rounds_of(
    every: Mapping[str, Side], folder: Path, rounds: int, waits: tuple[int, float], told: Callable[[str], None]
) -> dict[str, Any]:
    """``{direction: {side: [a row each round]}}``. ``waits``: tries a run, and seconds of patience before each."""
    results: dict[str, Any] = {d: {name: [] for name in every} for d in ("compress", "decompress")}
    with tempfile.TemporaryDirectory() as scratch:
        for number, (name, side) in _turns(every, rounds):
            coded, back = Path(scratch) / name.replace(" ", "_"), Path(scratch) / "pictures"
            for direction, source, target in (("compress", folder, coded), ("decompress", coded, back)):
                target.mkdir(exist_ok=True)
                run = undisturbed(partial(measured, side, direction, source, target), *waits)
                results[direction][name].append(run.row())
                told(f"{number} {direction:10} {name:18} {run.rate:6.2f} files/s, first {run.done[0]:.1f} s, elsewhere {run.elsewhere:.0%}")
    return results


def _turns(every: Mapping[str, Side], rounds: int) -> Iterator[tuple[int, tuple[str, Side]]]:
    for i in range(rounds):
        for item in reversed(list(every.items())) if i % 2 else every.items():
            yield i, item


def summary(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Medians of each side, and the quartiles of its files a second over those of the loop."""
    rows = []
    for direction, by_side in results.items():
        base = np.array([row["rate"] for row in by_side["loop"]])
        for name, runs in by_side.items():
            low, middle, high = np.percentile(np.array([row["rate"] for row in runs]) / base, [25, 50, 75])
            medians = {key: float(np.median([row[key] for row in runs])) for key in runs[0]}
            rows.append({"direction": direction, "side": name, "ratio": middle, "low": low, "high": high, **medians})
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """As a table of the README."""
    print("| | | files/s | times the loop (quartiles) | first file, s | a file, s | peak MB | busy elsewhere |")
    print("|---|---|---|---|---|---|---|---|")
    for r in rows:
        ratio = f"**{r['ratio']:.2f}** ({r['low']:.2f} .. {r['high']:.2f})"
        costs = f"{r['first']:.1f} | {1 / r['rate']:.3f} | {r['peak'] / 1e6:.0f} | {r['elsewhere']:.0%}"
        print(f"| {r['direction']} | {r['side']} | {r['rate']:.2f} | {ratio} | {costs} |")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tries", type=int, default=5, help="runs, at most, until one is not disturbed")
    parser.add_argument("--patience", type=float, default=60, help="seconds to wait before a run until others are quiet")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--numerics", default="stable")
    parser.add_argument("--peer-python", help="python of an environment with compressai")
    parser.add_argument("-o", "--output", type=Path, help="JSON with every round")
    a = parser.parse_args()
    results = rounds_of(
        sides(a.jobs, a.numerics, a.peer_python),
        a.folder.resolve(),
        a.rounds,
        (a.tries, a.patience),
        lambda line: print(line, file=sys.stderr, flush=True),
    )
    rows = summary(results)
    show(rows)
    if a.output:
        a.output.write_text(json.dumps({**about(a), "summary": rows, "rounds": results}) + "\n", encoding="utf-8")


def about(a: argparse.Namespace) -> dict[str, Any]:
    """What was run, where."""
    from benchmarks.speed_compressai import commit, machine

    words = f"python -m benchmarks.many_files FOLDER --rounds {a.rounds} --jobs {a.jobs} --numerics {a.numerics}"
    peer = " --peer-python PEER_ENVIRONMENT/bin/python" if a.peer_python else ""
    return {"date": dt.date.today().isoformat(), "command": words + peer, "commit": commit(), "machine": machine()}


if __name__ == "__main__":
    main()
