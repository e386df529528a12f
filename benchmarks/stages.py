"""Where the time of one picture goes: the four stages of a codec, and the networks within them.

    python -m benchmarks.stages PICTURE [-m MODEL] [-q 0.5] [--rounds 15]

Prints median CPU milliseconds of one thread, both profiles of numerics in turns.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch reads it

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tokodec.codecs.fourstep_vr import FourStepVR
from tokodec.codecs.variable_rate import VariableRateCodec
from tokodec.entropy.hyper import Prior
from tokodec.media.pixels import to_unit
from tokodec.media.read import read_picture
from tokodec.pretrained import store


class Clock:
    """CPU milliseconds by name, one list a name."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.times[name].append(1e3 * (time.process_time() - start))

    def watch(self, name: str, module: torch.nn.Module) -> None:
        """Time every forward pass of a module."""
        starts: list[float] = []
        module.register_forward_pre_hook(lambda *_: starts.append(time.process_time()))
        module.register_forward_hook(lambda *_: self.times[name].append(1e3 * (time.process_time() - starts.pop())))


def watched(name: str, numerics: str) -> tuple[Callable[[torch.Tensor, float], int], Clock]:
    """A function that codes and decodes one picture and returns its bits, and the clock that watches it."""
    model, clock = store.load(name, numerics=numerics), Clock()
    assert isinstance(model, VariableRateCodec)
    parts = {"g_a": model.g_a, "h_a": model.h_a, "g_s": model.g_s}
    if isinstance(model, FourStepVR):
        parts["context"] = model.exact_context
    for label, module in parts.items():
        clock.watch(label, module)
    prior = model.exact.prior

    def watched_prior(z: torch.Tensor, level: torch.Tensor, grid: tuple[int, int]) -> Prior:
        with clock("h_s"):
            return prior(z, level, grid)

    model.exact.prior = watched_prior  # type: ignore[method-assign]

    def once(x: torch.Tensor, quality: float) -> int:
        with clock("symbols"):
            symbols = model.symbols(x, quality)
        with clock("write"):
            data = model.write(symbols)
        with clock("read"):
            again = model.read(data, symbols.size)
        with clock("synthesise"):
            model.synthesise(again)
        return 8 * len(data[0])

    return once, clock


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("-m", "--model", default="fourstep_vr")
    parser.add_argument("-q", "--quality", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=15)
    a = parser.parse_args()
    torch.set_num_threads(1)
    x = to_unit(read_picture(a.picture).rgb)
    sides: dict[str, Any] = {numerics: watched(a.model, numerics) for numerics in ("fast", "stable")}
    with torch.inference_mode():
        for _ in range(a.rounds):
            bits = {numerics: once(x, a.quality) for numerics, (once, _) in sides.items()}
    rates = ", ".join(f"{numerics} {b / x[0, 0].numel():.3f} bpp" for numerics, b in bits.items())
    print(f"{a.picture.name}, {x.shape[3]}x{x.shape[2]}, quality {a.quality:g}: {rates}")
    medians = {numerics: {name: float(np.median(t)) for name, t in clock.times.items()} for numerics, (_, clock) in sides.items()}
    exact = tuple(name for name in ("h_s", "context") if name in medians["fast"])
    tree = {"symbols": ("g_a", "h_a", *exact), "write": (), "read": exact, "synthesise": ("g_s",)}
    print(f"{'ms':16}{'fast':>8}{'stable':>8}")
    for stage, parts in tree.items():
        for name, label in ((stage, stage), *((part, f"  {part}") for part in parts)):
            print(f"{label:16}" + "".join(f"{medians[numerics][name]:8.1f}" for numerics in sides))


if __name__ == "__main__":
    main()
