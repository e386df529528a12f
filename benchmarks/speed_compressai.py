"""hyperprior_vr against CompressAI's mbt2018_mean with the same channel counts: one machine, one run, one thread.

    python -m benchmarks.speed_compressai --peer-python PEER_ENVIRONMENT/bin/python [-o RESULT.json]

CompressAI needs numpy below 2, so it has an environment of its own (``pip install compressai``). Both sides have random
weights and code samples/coffee.png, enlarged to 768x512. Untrained networks give no realistic symbols, so both sides compute
their analysis and hyper-synthesis and are then handed the same latents y and the same scales and means instead
(``photographic``). The entropy step is what lies between symbols with their predicted scales and bytes: table indexes and
coding, and the way back to latents. CompressAI's includes rounding, which its classes do not separate; it is 2 % of it.

Rounds interleave both sides. Ratios are of the processes' CPU seconds, round by round: wall time measures whatever else the
machine does too.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch reads it

import datetime as dt
import json
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import tokodec
from tokodec.api import Symbols
from tokodec.codecs.hyperprior_vr import HyperpriorVR, HyperpriorVRConfig
from tokodec.entropy import hyper
from tokodec.entropy.coder import Reader, Writer
from tokodec.entropy.fixed import LEVELS, ONE
from tokodec.entropy.laplace import SCALE_MIN
from tokodec.entropy.scaletables import SCALE_MAX, STEPS_PER_OCTAVE
from tokodec.media.pixels import to_unit
from tokodec.numerics import PROFILES

SIZE = (512, 768)
STRIDE = 16
SETTINGS = ((128, 192), (192, 320))
"""N and M of mbt2018_mean at qualities 1 to 4, and 5 to 8."""

LEVEL = 544
JOBS = ("compress", "compress and check", "decompress", "entropy encode", "entropy decode")
TIMES = {"entropy encode": 5, "entropy decode": 5}
"""How often a short job runs each time that it is measured."""
PEER_JOB = {"compress and check": "compress"}  # CompressAI does not read back what it wrote


def photographic(m: int) -> dict[str, np.ndarray]:
    """Latents y in quantiser steps: Laplacian around means, about 1.07 bits a symbol.

    The log2 of their mean absolute deviation is -3.2 plus a gamma variable of shape 1.75 and scale 0.9, which is how a
    trained hyperprior_vr predicts Kodak, but for the offset, which goes with the rate.
    """
    rng = np.random.default_rng(0)
    shape = (1, m, SIZE[0] // STRIDE, SIZE[1] // STRIDE)
    deviation = np.exp2(-3.2 + rng.gamma(1.75, 0.9, shape)).clip(SCALE_MIN, SCALE_MAX)
    means = rng.normal(0, 1, shape)
    arrays = {"y": rng.laplace(means, deviation), "deviation": deviation, "scales": deviation * 2**0.5, "means": means}
    return {name: array.astype(np.float32) for name, array in arrays.items()}


class Ours:
    """A codec with random weights and tables fitted to the latents it is handed."""

    def __init__(self, n: int, m: int, x: torch.Tensor, data: dict[str, np.ndarray]) -> None:
        torch.manual_seed(0)
        self.model = HyperpriorVR(HyperpriorVRConfig(N=n, W=3 * n // 2, M=m)).eval()
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        self.model.to(memory_format=torch.channels_last)
        self.x = x.contiguous(memory_format=torch.channels_last)
        self.model.freeze([self.x[..., :256, :256]])
        self.exact, self.level = self.model.exact, torch.tensor([LEVEL])
        self.y, means, deviation = (
            torch.from_numpy(data[k]).contiguous(memory_format=torch.channels_last) for k in ("y", "means", "deviation")
        )
        self._hand_over(m, means, deviation)
        self.model._fit([self.x])  # noqa: SLF001

    def _hand_over(self, m: int, means: torch.Tensor, deviation: torch.Tensor) -> None:
        """Let analysis and hyper-synthesis compute, then give y and those sums that mean these parameters."""
        gain = self.exact.gain(self.level)
        offset = self.exact.scale_y(self.level).float()[..., None, None] * (STEPS_PER_OCTAVE / ONE)
        mean_sums = means / (self.exact.chain.layers[-1].unit[:m, None, None] * gain)
        index_sums = (deviation.log2() * STEPS_PER_OCTAVE - offset) / self.exact.index_unit[:, None, None]
        sums = torch.cat([mean_sums, index_sums], 1).contiguous(memory_format=torch.channels_last)
        self.index_sums = sums[:, m:]
        latents = self.y / gain
        self.model.g_a.register_forward_hook(lambda *_: latents)
        self.exact.chain.register_forward_hook(lambda *_: sums)

    def prepare(self, numerics: str) -> dict[str, Any]:
        """Choose a profile; what will be timed, and proof that it works."""
        self.model.numerics = PROFILES[numerics]()
        with torch.inference_mode():
            self.symbols = self._symbols()
            self.payload = self.model.write(self.symbols)
            self.tables = self.exact.tables.coding(LEVEL)
            self.stream = self._entropy_encode()
            again = self._entropy_decode()
        return {
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "symbols": self.y.numel(),
            "bits": 8 * len(self.stream),
            "largest error": float((again - self.symbols.values["y"] - self.symbols.context["mean"]).abs().max()),
        }

    def run(self, job: str) -> dict[str, float]:
        jobs: dict[str, Callable[[], Any]] = {
            "compress": lambda: self.model.write(self._symbols()),
            "compress and check": self._checked,
            "decompress": lambda: self.model.synthesise(self.model.read(self.payload, SIZE)),
            "entropy encode": self._entropy_encode,
            "entropy decode": self._entropy_decode,
        }
        times = TIMES.get(job, 1)
        wall, cpu = time.perf_counter(), time.process_time()
        with torch.inference_mode():
            for _ in range(times):
                jobs[job]()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        return {"cpu": round(cpu / times, 6), "wall": round(wall / times, 6)}

    def _symbols(self) -> Symbols:
        return self.model.symbols(self.x, LEVEL / (LEVELS - 1))

    def _checked(self) -> None:
        symbols = self._symbols()
        again = self.model.read(self.model.write(symbols), SIZE)
        assert again.crc32() == symbols.crc32()

    def _entropy_encode(self) -> bytes:
        index = self._index()
        writer = Writer(self.tables, self.symbols.values)
        writer.take("y", index, 0.0)
        return writer.bytes()

    def _entropy_decode(self) -> torch.Tensor:
        index = self._index()
        reader = Reader(self.tables, self.stream)
        symbols = reader.take("y", index, 0.0)
        reader.finish()
        return symbols.float().add_(self.symbols.context["mean"])

    def _index(self) -> torch.Tensor:
        """Table indexes from the sums of the hyper-synthesis, as ExactHyper makes them."""
        place = self.index_sums * self.exact.index_unit[:, None, None]
        return hyper._index(place.add_(hyper._offset(self.exact.scale_y(self.level))[..., None, None]))  # noqa: SLF001


class Peer:
    """The process of the other environment."""

    def __init__(self, python: str, script: str = "compressai_peer.py") -> None:
        self._process = subprocess.Popen(
            [python, str(Path(__file__).with_name(script))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        print(line, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit("the peer ended: does its environment have compressai?")
        result: dict[str, Any] = json.loads(answer)
        return result

    def run(self, job: str) -> dict[str, float]:
        return self.ask(f"{PEER_JOB.get(job, job).replace(' ', '-')} {TIMES.get(job, 1)}")

    def close(self) -> None:
        self._process.communicate()


def picture() -> torch.Tensor:
    path = Path(__file__).parents[1] / "samples" / "coffee.png"
    with Image.open(path) as image:
        return to_unit(np.asarray(image.convert("RGB").resize((SIZE[1], SIZE[0]), Image.Resampling.LANCZOS)))


def compare(ours: Ours, peer: Peer, rounds: int) -> dict[str, Any]:
    """Seconds of every round of every job, first round left out: ``{job: {"ours": [...], "peer": [...]}}``."""
    seconds: dict[str, Any] = {job: {"ours": [], "peer": []} for job in JOBS}
    for i in range(rounds + 1):
        for job in JOBS:
            sides = {"ours": ours, "peer": peer}
            for side in reversed(sides) if i % 2 else sides:
                seconds[job][side].append(sides[side].run(job))
    return {job: {side: runs[1:] for side, runs in both.items()} for job, both in seconds.items()}


def summary(seconds: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Medians in ms of CPU time, and the quartiles of the ratio peer / ours."""
    rows = {}
    for job, both in seconds.items():
        own, other = (np.array([run["cpu"] for run in both[side]]) for side in ("ours", "peer"))
        low, middle, high = np.percentile(other / own, [25, 50, 75])
        rows[job] = {
            "ours_ms": 1e3 * float(np.median(own)),
            "peer_ms": 1e3 * float(np.median(other)),
            "ratio": middle,
            "low": low,
            "high": high,
        }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True, help="python of an environment with compressai")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("-o", "--output", type=Path, help="JSON with every round")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    x, runs = picture(), []
    for n, m in SETTINGS:
        peer, data = Peer(arguments.peer_python), photographic(m)
        with tempfile.TemporaryDirectory() as folder:
            np.savez(Path(folder) / "data.npz", x=x.numpy(), **data)
            facts = peer.ask(f"setup {n} {m} {folder}/data.npz")
        ours = Ours(n, m, x, data)
        for numerics in ("fast", "stable"):
            own = ours.prepare(numerics)
            seconds = compare(ours, peer, arguments.rounds)
            runs.append({"N": n, "M": m, "numerics": numerics, "ours": own, "peer": facts, "summary": summary(seconds), "seconds": seconds})
            show(runs[-1])
        peer.close()
    if arguments.output:
        about = {
            "date": dt.date.today().isoformat(),
            "command": f"python -m benchmarks.speed_compressai --peer-python PEER_ENVIRONMENT/bin/python --rounds {arguments.rounds}",
            "commit": commit(),
            "machine": machine(),
            "versions": {
                "tokodec": tokodec.__version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
        }
        arguments.output.write_text(json.dumps({**about, "runs": runs}) + "\n", encoding="utf-8")


def show(run: dict[str, Any]) -> None:
    own, other = run["ours"], run["peer"]
    bits, millions = ([side["bits"] / side["symbols"] for side in (own, other)], [side["parameters"] / 1e6 for side in (own, other)])
    print(f"\nN={run['N']} M={run['M']}, {run['numerics']}: {own['symbols']} symbols of {bits[0]:.3f} bits (CompressAI {bits[1]:.3f}),")
    print(f"{millions[0]:.1f} M parameters (CompressAI {millions[1]:.1f})")
    print(f"{'':20}{'tokodec ms':>12}{'CompressAI ms':>15}{'ratio':>8}  quartiles")
    for job, row in run["summary"].items():
        print(f"{job:20}{row['ours_ms']:12.1f}{row['peer_ms']:15.1f}{row['ratio']:8.2f}  {row['low']:.2f} .. {row['high']:.2f}", flush=True)


def commit() -> str:
    """Of the checkout that runs, with + when files were changed since."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    return subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False).stdout.strip()


def machine() -> str:
    """Processor, as far as the system says, and what PyTorch makes of it."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    bf16 = "bf16 instructions" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "no bf16 instructions"  # noqa: SLF001
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}, {bf16}"


if __name__ == "__main__":
    main()
