"""How fast tokenizers are, ``fast`` beside ``stable``, in turns: one picture of 512x512, and photographs of 256x256 together.

    python -m benchmarks.tokenizer_speed [-m MODEL ...] [--threads 1] [-o RESULT.json]

The picture is samples/astronaut.jpg. Times are CPU seconds of this process; ratios are taken round by round, medians with
quartiles. ``encode`` is from pixels to ids, whatever in doubt settled in float64; the row of the encoder alone shows what
bfloat16 gives to the network itself, and that of a matrix product of its shapes what it can give at most here.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tokodec.media.pixels import to_unit
from tokodec.media.read import read_picture
from tokodec.pretrained import store
from tokodec.tokenizers.conv import ConvTokenizer

ROUNDS = 11
CROP = 256
PICTURE = Path(__file__).parent.parent / "samples" / "astronaut.jpg"


def cpu_ms(job: Callable[[], object]) -> float:
    """One run."""
    start = time.process_time()
    job()
    return (time.process_time() - start) * 1000


def crops() -> Tensor:
    """The middle CROP x CROP pixels of every photograph among the samples, each at two scales."""
    found = [to_unit(read_picture(path).rgb) for path in sorted(PICTURE.parent.glob("*.*")) if path.suffix in (".jpg", ".png")]
    halves = [F.interpolate(x, scale_factor=0.5, mode="area") for x in found]
    large = [x for x in (*found, *halves) if min(x.shape[2:]) >= CROP]
    middles = [((x.shape[2] - CROP) // 2, (x.shape[3] - CROP) // 2) for x in large]
    return torch.cat([x[..., top : top + CROP, left : left + CROP] for x, (top, left) in zip(large, middles, strict=True)])


def jobs(model: ConvTokenizer, x: Tensor, batch: Tensor) -> dict[str, Callable[[], object]]:
    """What is timed of one model."""
    tokens = model.encode(x)
    dtype = torch.bfloat16 if type(model.numerics).__name__ == "Fast" else torch.float32
    a, b = torch.randn(4096, 192).to(dtype), torch.randn(192, 384).to(dtype)

    def encoder() -> None:
        with model.numerics.transforms(x.device):
            model.encoder(x - 0.5)

    return {
        "encode": lambda: model.encode(x),
        f"encode {len(batch)} of {CROP}x{CROP}": lambda: model.encode(batch),
        "encoder alone": encoder,
        "decode": lambda: model.decode(tokens),
        "matrix product": lambda: [a @ b for _ in range(10)],
    }


def measured(name: str, x: Tensor) -> dict[str, dict[str, float]]:
    """Medians of both profiles in ms, and their ratio with quartiles."""
    models = {profile: store.load(name, numerics=profile) for profile in ("stable", "fast")}
    assert all(isinstance(model, ConvTokenizer) for model in models.values())
    batch = crops()
    todo = {profile: jobs(model, x, batch) for profile, model in models.items()}  # type: ignore[arg-type]
    rows: dict[str, dict[str, float]] = {}
    for job in todo["stable"]:
        times: dict[str, list[float]] = {"stable": [], "fast": []}
        for round_ in range(ROUNDS + 1):
            for profile, own in times.items():
                took = cpu_ms(todo[profile][job])
                if round_:
                    own.append(took)
        low, ratio, high = np.percentile(np.array(times["stable"]) / np.array(times["fast"]), [25, 50, 75])
        rows[job] = {p: float(np.median(t)) for p, t in times.items()} | {"ratio": ratio, "low": low, "high": high}
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", action="append")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    x = to_unit(read_picture(PICTURE).rgb)
    with torch.inference_mode():
        results = {name: measured(name, x) for name in a.model or ["vq_f16", "vq_f8"]}
    print("| model | job | stable, CPU ms | fast, CPU ms | ratio (quartiles) |\n|---|---|---|---|---|")
    for name, rows in results.items():
        for job, r in rows.items():
            print(f"| {name} | {job} | {r['stable']:.1f} | {r['fast']:.1f} | {r['ratio']:.2f} ({r['low']:.2f} .. {r['high']:.2f}) |")
    if a.output:
        meta = {"torch": torch.__version__, "machine": platform.machine(), "threads": a.threads, "picture": PICTURE.name}
        a.output.write_text(json.dumps({"meta": meta, "results": results}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
