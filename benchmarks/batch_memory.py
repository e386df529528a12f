"""Memory against the size of a batch: what encoding takes beside the model, each size in a process of its own.

    python -m benchmarks.batch_memory MODEL [MODEL ...] [--size 256] [--batches 1,8,16,32] [-o RESULT.json]

The most memory that was resident while a batch was encoded in ``stable`` numerics, less what was resident before, the batch among it.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.published_tokenizers import tokenizer
from tokodec.numerics import PROFILES

_PAGE = resource.getpagesize()
_MIB = 2**20


def resident() -> int:
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


@torch.inference_mode()
def taken(name: str, size: int, batch: int) -> int:
    """Bytes that encoding takes."""
    torch.set_num_threads(1)
    model = tokenizer(name)
    model.numerics = PROFILES["stable"]()
    x = torch.rand(batch, 3, size, size)
    before = resident()
    model.encode(x)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batches", default="1,8,16,32")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path)
    a = parser.parse_args()
    batches = [int(n) for n in a.batches.split(",")]
    if a.alone:
        print(taken(a.models[0], a.size, batches[0]))
        return
    found: dict[str, dict[int, float]] = {}
    for name in a.models:
        found[name] = {}
        for batch in batches:
            command = [sys.executable, "-m", "benchmarks.batch_memory", name, "--alone", "--size", str(a.size), "--batches", str(batch)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found[name][batch] = round(int(output) / _MIB, 1)
        print(name, found[name], flush=True)
    if a.output:
        a.output.write_text(json.dumps({"size": a.size, "MiB by batch": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
