"""Four quantizers between the same networks, trained by one recipe at one budget, and compared on pictures that never entered training.

    python -m benchmarks.quantizers RUNS --data FOLDER --set photographs=kodak/ --set text=rendered/ --set faces=faces/ -o FILE.json

Trains what is not trained yet into folders of RUNS (an interrupted command goes on where it stood): every quantizer with every seed by
``tokenizers/dual_f16.toml``, then its prior over ids by ``tokenizers/dual_f16_prior.toml``, with another model and the
objectives of :data:`EXTRA`. Then codes every picture of every set, cut to 256x256, to a whole ``.tkd`` file and back.

Differences are taken from ``vq``: of every picture's mean over seeds, with 95 % intervals of the bootstrap over pictures; the spread
of seeds is beside them, and a difference that is smaller than that says nothing about quantizers.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from tokodec import files
from tokodec.atomic import write_whole
from tokodec.catalogue import folder
from tokodec.eval.suite import Suite, find_suite, load
from tokodec.machine import Machine
from tokodec.media.picture import Picture
from tokodec.media.pixels import to_unit
from tokodec.metrics.codebook import perplexity, usage
from tokodec.metrics.psnr import psnr
from tokodec.metrics.resampling import mean_interval
from tokodec.metrics.structure import Comparison
from tokodec.rate import Quality
from tokodec.train.loop import Trainer
from tokodec.train.recipe import ObjectiveRecipe, Recipe, read_recipe

RECIPE = "dual_f16"
ANCHOR = "vq_f16_12bit"


def _term(name: str, weight: float) -> ObjectiveRecipe:
    return ObjectiveRecipe(name="term", weight=weight, settings={"term": name})


EXTRA: Mapping[str, tuple[ObjectiveRecipe, ...]] = {
    ANCHOR: (),
    "fsq_f16_12bit": (),
    "bsq_f16_12bit": (_term("sample_entropy", 0.1), _term("batch_entropy", -3.0)),
    "dual_f16": (_term("disentanglement", 0.1),),
}
"""What a quantizer's own recipe adds to the reconstruction and the commitment that all have."""
_COLUMNS = {"psnr": ("PSNR dB", "{:.2f}", "{:+.2f}"), "ssim": ("SSIM", "{:.4f}", "{:+.4f}"), "bytes": ("file bytes", "{:.1f}", "{:+.1f}")}


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A quantizer of one seed: its folder, and what its run cost."""

    model: str
    seed: int
    weights: Path
    seconds: float


# --- training


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What each gets: steps, over which seeds."""

    steps: int
    seeds: tuple[int, ...]

    def recipe(self, model: str, seed: int) -> Recipe:
        """Of a tokenizer."""
        recipe = _recipe(RECIPE)
        phases = (replace(recipe.phase[0], steps=self.steps),)
        objectives = (recipe.objective[0], *EXTRA[model])
        return replace(recipe, model=model, seed=seed, phase=phases, objective=objectives, validate_every=self.steps)

    def __str__(self) -> str:
        recipe = self.recipe(ANCHOR, 0)
        side = recipe.phase[0].crop
        pixels = self.steps * recipe.batch * side**2
        return (
            f"Each: {self.steps} steps of {recipe.batch} crops of {side}x{side} ({pixels / 1e9:.2f} gigapixels), one thread, "
            f"seeds {', '.join(map(str, self.seeds))}; priors: {_recipe(f'{RECIPE}_prior').steps} steps. 12 bits for 16x16 pixels."
        )


def train(model: str, seed: int, runs: Path, data: Path, budget: Budget) -> Trained:
    """Tokenizer, then prior; what is there already is left as it is."""
    base = runs / f"{model}-seed{seed}"
    tokenizer = _run(budget.recipe(model, seed), base, data)
    prior = replace(_recipe(f"{RECIPE}_prior"), model=model, seed=seed, warm_start=f"dir:{tokenizer}")
    weights = _run(prior, base.with_name(f"{base.name}-prior"), data)
    return Trained(model=model, seed=seed, weights=weights, seconds=_seconds(base))


def _recipe(name: str) -> Recipe:
    return read_recipe(folder("tokenizers") / f"{name}.toml")


def _run(recipe: Recipe, out: Path, data: Path) -> Path:
    weights = out / "model.safetensors"
    if not weights.exists():
        sys.stderr.write(f"training {out.name}\n")
        Trainer(recipe, out, device=torch.device("cpu"), base=data).run()
    return weights


def _seconds(run: Path) -> float:
    return float(json.loads((run / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])["seconds"])


# --- measuring


def measure(trained: Trained, pictures: Sequence[np.ndarray]) -> dict[str, Any]:
    """Values of every picture, and how the codebooks are used over all of them."""
    machine = Machine()
    codec = machine.token_codec(f"dir:{trained.weights}")
    rows: dict[str, list[float]] = {name: [] for name in _COLUMNS}
    ids: list[np.ndarray] = []
    for picture in pictures:
        data = files.encode(Picture(rgb=picture), codec, Quality(None), machine).data
        decoded = files.decode(data, files.Given(codec), machine).rgb
        rows["psnr"].append(psnr(picture, decoded))
        rows["ssim"].append(Comparison(picture, decoded).ssim)
        rows["bytes"].append(len(data))
        with torch.inference_mode():
            stream = codec.tokenizer.encode(to_unit(picture)).streams["ids"]
        ids.append(stream.ids.reshape(-1, len(stream.vocab)).numpy())
    return {"values": rows, "codebooks": _codebooks(np.concatenate(ids), codec.tokenizer.blank((256, 256)).streams["ids"].vocab)}


def _codebooks(ids: Int[np.ndarray, "n k"], vocab: Sequence[int]) -> list[dict[str, float]]:
    return [{"size": size, "usage": usage(one, size), "perplexity": perplexity(one)} for one, size in zip(ids.T, vocab, strict=True)]


# --- comparing


def compare(found: Mapping[str, Mapping[int, dict[str, Any]]]) -> dict[str, Any]:
    """Of every model: means, the difference from the anchor with its interval, and the largest distance between two seeds' means."""
    return {model: {name: _compared(found, model, name) for name in _COLUMNS} for model in found}


def _compared(found: Mapping[str, Mapping[int, dict[str, Any]]], model: str, name: str) -> dict[str, float]:
    own, anchor = (np.array([one["values"][name] for one in found[who].values()], np.float64) for who in (model, ANCHOR))
    low, high = mean_interval(own.mean(0) - anchor.mean(0))
    return {
        "mean": float(own.mean()),
        "difference": float(own.mean() - anchor.mean()),
        "low": low,
        "high": high,
        "seeds": float(np.ptp(own.mean(1))),
    }


# --- showing


def markdown(report: Mapping[str, Any]) -> str:
    """A table a set, and one of codebooks."""
    parts = [report["budget"]]
    for name, one in report["sets"].items():
        heads = [f"{title} | from vq (95 %) | seeds" for title, _, _ in _COLUMNS.values()]
        lines = [f"**{name}**, {one['pictures']} pictures", "", f"| model | {' | '.join(heads)} |", "|---" * (1 + 3 * len(_COLUMNS)) + "|"]
        lines += [f"| {model} | {' | '.join(map(partial(_cell, values), _COLUMNS))} |" for model, values in one["compared"].items()]
        parts.append("\n".join(lines))
    lines = ["| model | seed | codes | used | perplexity | training, minutes |", "|---|---|---|---|---|---|"]
    for row in report["codebooks"]:
        books = list(zip(*[(f"{b['size']}", f"{b['usage']:.1%}", f"{b['perplexity']:.0f}") for b in row["codebooks"]], strict=True))
        lines.append(f"| {row['model']} | {row['seed']} | {' | '.join(', '.join(b) for b in books)} | {row['seconds'] / 60:.1f} |")
    return "\n\n".join([*parts, "\n".join(lines)]) + "\n"


def _cell(values: Mapping[str, Mapping[str, float]], name: str) -> str:
    (_, form, signed), v = _COLUMNS[name], values[name]
    apart = f"{signed.format(v['difference'])} ({signed.format(v['low'])} .. {signed.format(v['high'])})"
    return f"{form.format(v['mean'])} | {apart} | {form.format(v['seeds'])}"


def main() -> None:
    """Train, measure, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds train/shard-*.tar")
    parser.add_argument("--set", action="append", required=True, metavar="NAME=FOLDER", dest="sets")
    parser.add_argument("--steps", type=int, default=_recipe(RECIPE).steps)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("-o", "--output", type=Path, required=True, help="results as JSON; the tables go beside it")
    a = parser.parse_args()
    torch.set_num_threads(1)
    budget = Budget(steps=a.steps, seeds=tuple(a.seeds))
    trained = [train(model, seed, a.runs, a.data, budget) for seed in a.seeds for model in EXTRA]
    suite = Suite(name="quantizers", crop="centre256")
    entries = {name: find_suite(path, None)[1] for name, _, path in (one.partition("=") for one in a.sets)}
    pictures = {name: [load(entry, suite) for entry in some] for name, some in entries.items()}
    everything = [picture for some in pictures.values() for picture in some]
    found = {(t.model, t.seed): measure(t, everything) for t in trained}
    report = {"budget": str(budget), "sets": {}, "codebooks": []}
    start = 0
    for name, some in pictures.items():
        part = slice(start, start := start + len(some))
        cut = {m: {s: _part(found[m, s], part) for s in a.seeds} for m in EXTRA}
        names = [entry.name for entry in entries[name]]
        report["sets"][name] = {"pictures": len(some), "names": names, "compared": compare(cut), "each": cut}
    report["codebooks"] = [
        {"model": t.model, "seed": t.seed, "seconds": t.seconds, "codebooks": found[t.model, t.seed]["codebooks"]} for t in trained
    ]
    write_whole(a.output, (json.dumps(report, indent=1) + "\n").encode())
    write_whole(a.output.with_suffix(".md"), markdown(report).encode())
    sys.stdout.write(markdown(report))


def _part(found: Mapping[str, Any], part: slice) -> dict[str, Any]:
    return {"values": {name: values[part] for name, values in found["values"].items()}}


if __name__ == "__main__":
    main()
