"""Published tokenizers beside their networks in PyTorch's plain layers: the same weights, drawn at random, in turns, one run.

    python -m benchmarks.published_tokenizers [-m MODEL ...] [--size 256] [--batch 1] [--threads 1] [--rounds 5] [--stable] [-o RESULT.json]

Of models with weights of our own those are taken.

Encoding, from pixels to ids. ``plain`` is float32 (``plain_layers.py``); ours is ``stable``, which is float32 too, and ``fast``, which is
bfloat16: worth something only where the processor has instructions for it. The first line says so, and how many times as fast it is in
products of matrices: networks, which are such products, gain more than that only by what else ours does better. Times are CPU seconds
of a process; ratios are taken round by round, medians with quartiles. Ids of each are compared with those of ``plain``. Each model has a
process of its own, as most users give it: how far others made a heap grow decides how often large maps are asked of the system.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.plain_layers import plain
from benchmarks.tokenizer_speed import crops
from tokodec.numerics import PROFILES
from tokodec.pretrained.store import load
from tokodec.tokenizers.lattice import LatticeTokenizer
from tokodec.tokenizers.rows import RowTokenizer
from tokodec.zoo import MODELS, create, newest

ROUNDS = 5
PUBLISHED = (
    "vqgan_f16_16384",
    "llamagen_vq16",
    "ibq_16384",
    "ibq_262144",
    "open_magvit2_256",
    "bae_16",
    "cosmos_di_16x16",
    "bsqvit_b18",
    "fourm_rgb_1k",
)


def seconds(job: Callable[[], Tensor]) -> float:
    """One run."""
    start = time.process_time()
    job()
    return time.process_time() - start


def tokenizer(name: str) -> LatticeTokenizer | RowTokenizer:
    """With its weights, if they are in the package; else drawn at random."""
    torch.manual_seed(0)
    trained = MODELS[newest(name, MODELS)].weights is not None
    model = (load(name) if trained else create(name)).eval().requires_grad_(False)
    assert isinstance(model, LatticeTokenizer | RowTokenizer)
    if not trained and isinstance(getattr(model.quantizer, "codebook", None), torch.nn.Parameter):
        model.quantizer.codebook.data.normal_()  # type: ignore[union-attr]
    return model


def taken(name: str, x: Tensor) -> Tensor:
    """What a model takes: pictures, or of one that takes latents noise at an eighth of their size."""
    kind, _, channels = MODELS[newest(name, MODELS)].input.partition(":")
    if kind != "latents":
        return x
    return torch.rand(len(x), int(channels), x.shape[2] // 8, x.shape[3] // 8, generator=torch.Generator().manual_seed(0))


def jobs(name: str, x: Tensor) -> dict[str, Callable[[], Tensor]]:
    """What is timed."""
    model = tokenizer(name)

    def ours(profile: str) -> Tensor:
        model.numerics = PROFILES[profile]()
        return model.encode(x).ids.flatten(1)

    def theirs() -> Tensor:
        with plain():
            return ours("stable")

    return {"plain": theirs, "stable": lambda: ours("stable"), "fast": lambda: ours("fast")}


@torch.inference_mode()
def measured(name: str, x: Tensor, profiles: list[str], rounds: int) -> dict[str, object]:
    """Medians in seconds, ratios to ``plain`` with quartiles, and how many ids are not those of ``plain``."""
    todo = {key: job for key, job in jobs(name, x).items() if key in ("plain", *profiles)}
    ids = {key: job() for key, job in todo.items()}
    times: dict[str, list[float]] = {key: [] for key in todo}
    for _ in range(rounds):
        for key, job in todo.items():
            times[key].append(seconds(job))
    row: dict[str, object] = {f"{key} s": round(float(np.median(t)), 4) for key, t in times.items()}
    for key in profiles:
        ratios = np.array(times["plain"]) / np.array(times[key])
        row[f"{key} times plain"] = [round(float(q), 3) for q in np.quantile(ratios, (0.5, 0.25, 0.75))]
    for key in profiles:
        row[f"{key} ids that differ"] = int((ids[key] != ids["plain"]).sum())
    return {**row, "ids": ids["plain"].numel()}


def matrix_ratio() -> float:
    """How many times as fast products of matrices of 2048 x 2048 are in bfloat16: the median of 5 rounds."""
    a, b = torch.randn(2, 2048, 2048)
    x, y = a.bfloat16(), b.bfloat16()
    rounds = [seconds(lambda: a @ b) / seconds(lambda: x @ y) for _ in range(ROUNDS + 1)]
    return round(float(np.median(rounds[1:])), 2)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", action="append")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--stable", action="store_true", help="float32 alone")
    parser.add_argument("-o", "--output", type=Path)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    bf16 = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001  there is no public name
    some = crops()
    x = some.repeat(-(-a.batch // len(some)), 1, 1, 1)[: a.batch]
    x = torch.nn.functional.interpolate(x, size=(a.size, a.size), mode="bicubic").clamp(0, 1)
    where: dict[str, object] = {
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "bfloat16": bf16,
        "threads": a.threads,
    }
    if bf16:
        where["matrices in bfloat16"] = matrix_ratio()
    print(where, flush=True)
    rows = {}
    profiles = ["stable", "fast"] if bf16 and not a.stable else ["stable"]
    with ProcessPoolExecutor(1, get_context("spawn"), torch.set_num_threads, (a.threads,), max_tasks_per_child=1) as alone:
        for name in a.model or PUBLISHED:
            given = taken(name, x)
            rows[name] = alone.submit(measured, name, given, profiles, a.rounds).result()
            print(name, tuple(given.shape), rows[name], flush=True)
    if a.output:
        a.output.write_text(json.dumps({"where": where, "shape": list(x.shape), "models": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
