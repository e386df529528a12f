"""Every published codec against CompressAI's class with the same weights: bytes, PSNR, and how much faster. One machine, one thread.

    python -m benchmarks.published_codecs --peer-python PEER_ENVIRONMENT/bin/python [-m MODEL ...] [-o RESULT.json]

CompressAI's own environment makes a model with random weights, whose latents and scales are like those of a trained one, and
saves it; it is converted here, and both compress and decompress samples/coffee.png, enlarged to 768x512. *Bytes* are those of
payloads; CompressAI's has one stream for each of its coding steps, at least 8 bytes each, ours is one. PSNR is between the two
decoded pictures as 8-bit RGB (inf: not one value differs) and to the original, float32 on both sides.

Rounds interleave both sides. Ratios are of the processes' CPU seconds, round by round: wall time measures what else a machine
does. *compress* here writes a payload without reading it back, as CompressAI does.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch reads it

import datetime as dt
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import tokodec
from benchmarks.speed_compressai import Peer, commit, machine, picture
from tokodec.media.pixels import to_uint8
from tokodec.metrics.psnr import psnr
from tokodec.numerics import PROFILES
from tokodec.pretrained.convert.origins import from_checkpoint

CLASSES: dict[str, tuple[str, list[int]]] = {
    "factorized_128": ("FactorizedPrior", [128, 192]),
    "factorized_192": ("FactorizedPrior", [192, 320]),
    "hyperprior_128": ("ScaleHyperprior", [128, 192]),
    "hyperprior_192": ("ScaleHyperprior", [192, 320]),
    "mean_scale_128": ("MeanScaleHyperprior", [128, 192]),
    "mean_scale_192": ("MeanScaleHyperprior", [192, 320]),
    "joint_ar_m192": ("JointAutoregressiveHierarchicalPriors", [192, 192]),
    "joint_ar_m320": ("JointAutoregressiveHierarchicalPriors", [192, 320]),
    "cheng2020_anchor_128": ("Cheng2020Anchor", [128]),
    "cheng2020_attn_128": ("Cheng2020Attention", [128]),
    "cheng2020_checkerboard_128": ("Cheng2020AnchorCheckerboard", [128]),
    "elic": ("Elic2022Official", []),
    "elic_chandelier": ("Elic2022Chandelier", []),
}
SLOW = 1.0
"""Jobs of so many seconds run in fewer rounds."""


class Ours:
    """The converted model and the same picture."""

    def __init__(self, name: str, folder: Path, x: torch.Tensor) -> None:
        self.model = from_checkpoint(name, folder / "weights.pth").to(memory_format=torch.channels_last)
        self.x = x.contiguous(memory_format=torch.channels_last)

    def prepare(self, numerics: str) -> dict[str, Any]:
        """Choose a profile; what it makes of the picture."""
        self.model.numerics = PROFILES[numerics]()
        with torch.inference_mode():
            self.stream = self.model.encode(self.x)
            self.pixels = self.model.decode(self.stream)
            estimate = float(self.model.estimate(self.model.symbols(self.x))[0])
        return {"bytes": len(self.stream.data[0]), "estimate": estimate / 8, "parameters": sum(p.numel() for p in self.model.parameters())}

    def run(self, job: str) -> dict[str, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        with torch.inference_mode():
            if job == "compress":
                self.model.encode(self.x)
            else:
                self.model.decode(self.stream)
        return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}


def compare(ours: Ours, peer: Peer, rounds: int) -> dict[str, dict[str, float]]:
    """Medians in CPU ms and the quartiles of the ratio peer / ours."""
    rows = {}
    for job in ("compress", "decompress"):
        seconds: dict[str, list[float]] = {"ours": [], "peer": []}
        sides: dict[str, Ours | Peer] = {"ours": ours, "peer": peer}
        ours.run(job)
        slow = peer.run(job)["cpu"] > SLOW  # both warm now
        for i in range(max(rounds // 2, 3) if slow else rounds):
            for side in sides if i % 2 else reversed(sides):
                seconds[side].append(sides[side].run(job)["cpu"])
        a, b = np.array(seconds["ours"]), np.array(seconds["peer"])
        low, middle, high = np.percentile(b / a, [25, 50, 75])
        rows[job] = {"ours_ms": 1e3 * float(np.median(a)), "peer_ms": 1e3 * float(np.median(b)), "ratio": middle, "low": low, "high": high}
    return rows


def measured(name: str, python: str, rounds: int, x: torch.Tensor) -> dict[str, Any]:
    """All figures of one model."""
    kind, arguments = CLASSES[name]
    original = to_uint8(x)[0]
    peer = Peer(python, "published_peer.py")
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "picture.npy", x.numpy())
        facts = peer.ask(f"setup {kind} {json.dumps(arguments, separators=(',', ':'))} {folder}")
        reference = to_uint8(torch.from_numpy(np.load(Path(folder) / "reference.npz")["pixels"]))[0]
        ours = Ours(name, Path(folder), x)
    result: dict[str, Any] = {"peer": facts, "peer_psnr": psnr(reference, original)}
    for numerics in ("stable", "fast"):
        own = ours.prepare(numerics)
        own["psnr"] = psnr(to_uint8(ours.pixels)[0], original)
        own["between"] = psnr(to_uint8(ours.pixels)[0], reference)
        result[numerics] = {**own, **compare(ours, peer, rounds)}
        show(name, numerics, result)
    peer.close()
    return result


def show(name: str, numerics: str, result: dict[str, Any]) -> None:
    """One row of the table."""
    own, peer = result[numerics], result["peer"]
    times = " | ".join(
        f"{own[j]['peer_ms']:.0f} / {own[j]['ours_ms']:.0f} = **{own[j]['ratio']:.1f}** ({own[j]['low']:.1f} .. {own[j]['high']:.1f})"
        for j in ("compress", "decompress")
    )
    quality = f"{result['peer_psnr']:.3f} | {own['psnr']:.3f} | {own['between']:.1f}"
    print(f"| {name} | {numerics} | {peer['bytes']} in {peer['strings']} | {own['bytes']} | {quality} | {times} |", flush=True)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True, help="python of an environment with compressai")
    parser.add_argument("-m", "--model", action="append", choices=CLASSES)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("-o", "--output", type=Path)
    a = parser.parse_args()
    torch.set_num_threads(1)
    x = picture()
    print("| model | profile | CompressAI bytes | tokodec bytes | CompressAI dB | tokodec dB | between, dB | compress | decompress |")
    print("|---|---|---|---|---|---|---|---|---|")
    about = {
        "date": dt.date.today().isoformat(),
        "commit": commit(),
        "machine": machine(),
        "versions": {"tokodec": tokodec.__version__, "torch": torch.__version__},
        "rounds": a.rounds,
    }
    results = {name: measured(name, a.peer_python, a.rounds, x) for name in a.model or CLASSES}
    if a.output:
        a.output.write_text(json.dumps({**about, "results": results}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
