"""What else runs on a machine: wall times mean something only while that is next to nothing. Linux."""

import os
import threading
import time
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_POLITE = 10
"""From this nice value on, a program takes next to nothing from one that is not nice."""


def _seconds(sessions: set[int]) -> dict[int, float]:
    """CPU seconds by process, of those that are neither of these sessions nor polite."""
    found: dict[int, float] = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended
        if int(fields[3]) not in sessions and int(fields[16]) < _POLITE:
            found[int(place.name)] = (int(fields[11]) + int(fields[12])) / _TICK
    return found


class Watch:
    """From now on: ``elsewhere`` is the share of all processors that others took, ``peak`` the most memory of a session, bytes.

    Others are all processes but this one's session and ``session``, polite ones left out. Memory that processes share counts once.
    """

    def __init__(self, session: int) -> None:
        self._session = session
        self._sessions = {session, os.getsid(0)}
        self._before, self._start = _seconds(self._sessions), time.perf_counter()
        self.peak = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.2):
            self.peak = max(self.peak, sum(_memory(pid) for pid in _members(self._session)))

    def stop(self) -> float:
        """The share of others since the start."""
        self._over.set()
        self._thread.join()
        after = _seconds(self._sessions)
        taken = sum(seconds - self._before.get(pid, 0.0) for pid, seconds in after.items())
        return taken / (time.perf_counter() - self._start) / (os.cpu_count() or 1)


def _members(session: int) -> list[int]:
    found: list[int] = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if int((place / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                found.append(int(place.name))
        except OSError:
            continue
    return found


def _memory(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return 1024 * next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def wait_for_quiet(limit: float, patience: float) -> None:
    """Until others take less than ``limit`` of the processors, or for ``patience`` seconds."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        watch = Watch(os.getsid(0))
        time.sleep(1)
        if watch.stop() < limit:
            return
