"""CompressAI's side of speed_compressai.py: a process of its environment that runs one job a line of standard input.

It knows nothing of tokodec. Commands: ``setup N M FILE`` (a .npz with the picture ``x`` and the latents ``y``, ``scales`` and
``means``), then ``compress``, ``decompress``, ``entropy-encode`` or ``entropy-decode`` with how often; each answers with one
line of JSON.
"""

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
warnings.simplefilter("ignore")

import compressai  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from compressai.models import MeanScaleHyperprior  # noqa: E402

torch.set_num_threads(1)
torch.set_grad_enabled(False)


class Peer:
    """``mbt2018_mean`` with random weights, whose analysis and hyper-synthesis compute and are then given realistic results."""

    def __init__(self, n: int, m: int, file: str) -> None:
        torch.manual_seed(0)
        data = np.load(file)
        self.x, self.y, self.scales, self.means = (torch.from_numpy(data[k]) for k in ("x", "y", "scales", "means"))
        self.model = MeanScaleHyperprior(n, m).eval()
        self.model.update(force=True)
        # In compress and decompress alike the hyper-synthesis gives scales, then means.
        self.model.g_a.register_forward_hook(lambda *_: self.y)
        self.model.h_s.register_forward_hook(lambda *_: torch.cat([self.scales, self.means], 1))
        self.coder = self.model.gaussian_conditional
        self.stream = self.model.compress(self.x)
        self.strings = self._encode()

    def run(self, job: str, times: int) -> dict[str, float]:
        """Seconds of one run, the mean of ``times``."""
        jobs = {
            "compress": lambda: self.model.compress(self.x),
            "decompress": lambda: self.model.decompress(**self.stream),
            "entropy-encode": self._encode,
            "entropy-decode": self._decode,
        }
        return timed(jobs[job], times)

    def facts(self) -> dict[str, object]:
        """What is being timed, and proof that it works."""
        wrong = float((self._decode() - self.means - (self.y - self.means).round()).abs().max())
        return {
            "versions": {"compressai": compressai.__version__, "torch": torch.__version__, "numpy": np.__version__},
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "bits": 8 * len(self.strings[0]),
            "symbols": self.y.numel(),
            "largest error": wrong,
        }

    def _encode(self) -> list[bytes]:
        indexes = self.coder.build_indexes(self.scales)
        return self.coder.compress(self.y, indexes, means=self.means)

    def _decode(self) -> torch.Tensor:
        indexes = self.coder.build_indexes(self.scales)
        return self.coder.decompress(self.strings, indexes, means=self.means)


def timed(job: Callable[[], object], times: int) -> dict[str, float]:
    """CPU and wall seconds of one run, the mean of ``times``."""
    wall, cpu = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        for _ in range(times):
            job()
    return {"cpu": (time.process_time() - cpu) / times, "wall": (time.perf_counter() - wall) / times}


def serve(setup: Callable[[list[str]], Any]) -> None:
    """Answer line by line until standard input ends. ``setup`` makes a peer, with ``facts()`` and ``run(job, times)``, of its arguments."""
    peer = None
    for line in sys.stdin:
        verb, *rest = line.split()
        if verb == "setup":
            peer = setup(rest)
            answer: object = peer.facts()
        else:
            assert peer
            answer = peer.run(verb, int(rest[0]))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve(lambda rest: Peer(int(rest[0]), int(rest[1]), rest[2]))
