"""How long a run will take: contestants differ in speed by a factor of a hundred, so each one's jobs are counted by themselves."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Pace:
    """``left``: jobs that are to be done, of each contestant, which come one after the other. ``clock`` in seconds."""

    left: dict[str, int]
    clock: Callable[[], float] = time.monotonic
    _spent: dict[str, float] = field(default_factory=dict[str, float], init=False)
    _done: dict[str, int] = field(default_factory=dict[str, int], init=False)
    _since: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._since = self.clock()

    def done(self, contestant: str) -> None:
        """One job is done."""
        now = self.clock()
        self._spent[contestant] = self._spent.get(contestant, 0.0) + now - self._since
        self._done[contestant] = self._done.get(contestant, 0) + 1
        self.left[contestant] -= 1
        self._since = now

    @property
    def seconds(self) -> float | None:
        """That are left: each contestant at its own pace, those that have not begun at the mean of the others; None at the beginning."""
        if not self._done:
            return None
        paces = {name: self._spent[name] / count for name, count in self._done.items()}
        usual = sum(paces.values()) / len(paces)
        return sum(count * paces.get(name, usual) for name, count in self.left.items())

    @property
    def all_known(self) -> bool:
        """Whether every contestant with jobs left has done one: until then the time is a guess."""
        return all(name in self._done for name, count in self.left.items() if count)
