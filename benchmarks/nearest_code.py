"""Nearest-code search beside the usual ways to write it: the same vectors and codes, one thread, one run.

    python -m benchmarks.nearest_code [-o RESULT.json]

Forms: ``expanded``, z^2 + e^2 - 2 z e and its argmin, as in taming-transformers and LlamaGen; ``cdist``, torch.cdist and
its argmin; ``vector-quantize-pytorch``, the package's module in eval mode; ``tokodec``, its own search.
Rounds interleave all forms; ratios are of CPU seconds, round by round. Memory is what the process's peak grows by (read from
Linux), each form in a process of its own. All forms must give the same ids as a search in float64.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch reads it

import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tokodec.quantizers.nearest import nearest

CODES, DIMENSIONS = 16_384, 8
SETTINGS = (256, 4096)
"""Vectors: one picture of 256x256 at stride 16, and sixteen."""
ROUNDS = 9


def expanded(z: Tensor, e: Tensor) -> Tensor:
    """As in the published code."""
    return (z.square().sum(1, keepdim=True) + e.square().sum(1) - 2 * z @ e.t()).argmin(1)


def cdist(z: Tensor, e: Tensor) -> Tensor:
    """torch.cdist."""
    return torch.cdist(z, e).argmin(1)


def package(z: Tensor, e: Tensor) -> Tensor:
    """vector-quantize-pytorch."""
    from vector_quantize_pytorch import VectorQuantize

    module = VectorQuantize(e.shape[1], len(e), use_cosine_sim=True).eval()
    module.codebook = e
    return module(z[None])[1][0]


FORMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "expanded": expanded,
    "cdist": cdist,
    "vector-quantize-pytorch": package,
    "tokodec": nearest,
}


def data(count: int) -> tuple[Tensor, Tensor]:
    """Unit vectors, unit codes."""
    generator = torch.Generator().manual_seed(0)
    return tuple(F.normalize(torch.randn(n, DIMENSIONS, generator=generator), dim=1) for n in (count, CODES))  # type: ignore[return-value]


def peak_growth(form: str, count: int) -> int:
    """Bytes, in this process."""
    z, e = data(count)
    FORMS[form](z[:64], e)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # Linux: the peak starts anew from what is held now
    before = _peak()
    FORMS[form](z, e)
    return _peak() - before


def _peak() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def measured(count: int) -> dict[str, dict[str, float]]:
    """Microseconds a vector (median), agreement, ratio to tokodec with quartiles, peak bytes."""
    z, e = data(count)
    right = torch.cdist(z.double(), e.double()).argmin(1)
    seconds: dict[str, list[float]] = {name: [] for name in FORMS}
    agreement = {name: float((form(z, e) == right).float().mean()) for name, form in FORMS.items()}
    for _ in range(ROUNDS):
        for name, form in FORMS.items():
            start = time.process_time()
            form(z, e)
            seconds[name].append(time.process_time() - start)
    rows: dict[str, dict[str, float]] = {}
    for name, values in seconds.items():
        low, middle, high = np.percentile(np.array(values) / np.array(seconds["tokodec"]), [25, 50, 75])
        command = [sys.executable, "-m", "benchmarks.nearest_code", "--peak", name, str(count)]
        peak = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        us = float(np.median(values)) / count * 1e6
        rows[name] = {"us": us, "ratio": middle, "low": low, "high": high, "agreement": agreement[name], "peak_bytes": peak}
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        if arguments.peak:
            print(peak_growth(arguments.peak[0], int(arguments.peak[1])))
            return
        results = {str(count): measured(count) for count in SETTINGS}
    print("| vectors | form | us a vector | times tokodec (quartiles) | peak MB | same ids as float64 |\n|---|---|---|---|---|---|")
    for count, rows in results.items():
        for name, r in rows.items():
            spread = f"{r['ratio']:.1f} ({r['low']:.1f} .. {r['high']:.1f})"
            print(f"| {count} | {name} | {r['us']:.1f} | {spread} | {r['peak_bytes'] / 1e6:.1f} | {r['agreement']:.4%} |")
    if arguments.output:
        meta = {"torch": torch.__version__, "machine": platform.machine(), "codes": CODES, "dimensions": DIMENSIONS, "rounds": ROUNDS}
        arguments.output.write_text(json.dumps({"meta": meta, "results": results}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
