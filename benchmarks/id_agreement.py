"""Do ids depend on circumstances? Every way to tokenize against the first, each in its own process.

    python -m benchmarks.id_agreement FOLDER [-m MODEL] [--drawn] [--limit 200] [--device cuda] [-o RESULT.json]

Tokenizes the pictures of FOLDER, cut to 256x256 by the rule ``centre256``: alone and in batches of 8 with others, with 1 and 2
threads, contiguous and channels_last, with other instruction sets for oneDNN and for PyTorch's own kernels, in ``stable`` and in
``fast``. Prints the share of ids that equal those of the first way, and, of the first 32 pictures, how many ids were
settled in float64 and the largest error of float32 beside the tolerance, of models that settle ids so. ``--drawn``: of a model
whose weights are not here, with weights drawn at random. Exit code 1 if any stable way differs; other instruction sets count only
for models that settle ids in float64.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.exactness import Condition

if TYPE_CHECKING:
    from tokodec.api import DiscreteTokenizer

SETS = (("ONEDNN_MAX_CPU_ISA", "AVX2"), ("ONEDNN_MAX_CPU_ISA", "SSE41"), ("ATEN_CPU_CAPABILITY", "default"))


def conditions(device: str, *, settles: bool) -> list[Condition]:
    """The grid on the CPU in stable numerics, other instruction sets, the device, then fast.

    Of a model that does not settle ids in float64 every pair of circumstances, and nothing that computes with other instructions.
    """
    if not settles:
        return [Condition(threads=t, batch=b, channels_last=c) for t, b, c in ((1, 1, True), (2, 8, False), (1, 8, False), (2, 1, True))]
    grid = [Condition(threads=t, batch=b, channels_last=c) for b, t, c in product((1, 8), (1, 2), (True, False))]
    isa = [Condition(batch=8, environment=(pair,)) for pair in SETS]
    other = [Condition(device=device, batch=b) for b in (1, 8)] if device != "cpu" else []
    return grid + isa + other + [Condition(batch=b, numerics="fast") for b in (1, 8)]


def model_of(name: str, way: Condition, *, drawn: bool) -> "DiscreteTokenizer":
    """The model, with weights drawn at random where it has none here."""
    import torch

    from tokodec.numerics import PROFILES
    from tokodec.pretrained import store
    from tokodec.zoo import create

    if drawn:
        torch.manual_seed(0)
        model = create(name).to(way.device).eval().requires_grad_(False)
        model.numerics = PROFILES[way.numerics]()  # type: ignore[assignment]
    else:
        model = store.load(name, device=way.device, numerics=way.numerics)
    return model.to(memory_format=torch.channels_last if way.channels_last else torch.contiguous_format)  # type: ignore[return-value]


def work(folder: Path, name: str, way: Condition, limit: int, file: Path, *, drawn: bool) -> None:
    """Write the ids of all pictures in one way, and what was seen on it."""
    import torch

    from tokodec.eval.suite import Suite, find_suite, load
    from tokodec.media.pixels import to_unit
    from tokodec.tokenizers.conv import TOLERANCE, ConvTokenizer

    torch.set_num_threads(way.threads)
    model = model_of(name, way, drawn=drawn)
    entries = find_suite(str(folder), None)[1]
    suite, step = Suite(name="ids", crop="centre256"), max(len(entries) // limit, 1)
    pictures = [to_unit(load(entry, suite)) for entry in entries[::step][:limit]]
    layout = torch.channels_last if way.channels_last else torch.contiguous_format
    ids, settled, error = [], 0, 0.0
    with torch.inference_mode():
        for start in range(0, len(pictures), way.batch):
            x = torch.cat(pictures[start : start + way.batch]).to(way.device).contiguous(memory_format=layout)
            ids += model.encode(x).ids.flatten(1).cpu().tolist()
            if way == Condition() and start < 32 and isinstance(model, ConvTokenizer):
                weights = {key: p.double() for key, p in model.encoder.named_parameters()}
                z = model.encoder(x - 0.5).flatten(2).transpose(1, 2)
                settled += int((model.quantizer.choose(z).margin < TOLERANCE).sum())
                exact = torch.func.functional_call(model.encoder, weights, (x.double() - 0.5,)).flatten(2).transpose(1, 2)
                unit = torch.nn.functional.normalize
                error = max(error, float((unit(z, dim=-1).double() - unit(exact, dim=-1)).abs().max()))
    file.write_text(json.dumps({"ids": ids, "settled": settled, "error": error, "tolerance": TOLERANCE}))


def _settles(name: str) -> bool:
    from tokodec.tokenizers.conv import ConvTokenizer
    from tokodec.zoo import MODELS, newest

    return issubclass(MODELS[newest(name, MODELS)].build, ConvTokenizer)


def main() -> int:
    """Parse, spread over processes, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-m", "--model", default="vq_f16")
    parser.add_argument("--drawn", action="store_true")
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--worker", nargs=2, metavar=("CONDITION", "FILE"), help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.worker:
        given = json.loads(a.worker[0])
        given["environment"] = ()
        work(a.folder, a.model, Condition(**given), a.limit, Path(a.worker[1]), drawn=a.drawn)
        return 0
    first, rows, seen = None, [], {}
    with tempfile.TemporaryDirectory() as scratch:
        for way in conditions(a.device, settles=_settles(a.model)):
            file = Path(scratch) / "ids.json"
            environment = {**os.environ, "OMP_NUM_THREADS": str(way.threads), **dict(way.environment)}
            command = [sys.executable, "-m", "benchmarks.id_agreement", str(a.folder), "-m", a.model, "--limit", str(a.limit)]
            command += ["--drawn"] * a.drawn
            subprocess.run([*command, "--worker", json.dumps(asdict(way)), str(file)], env=environment, check=True)
            found = json.loads(file.read_text())
            first = first or found["ids"]
            count = sum(map(len, found["ids"]))
            pairs = zip(first, found["ids"], strict=True)
            same = sum(x == y for one, other in pairs for x, y in zip(one, other, strict=True))
            rows.append({"way": str(way), "ids": count, "equal": same})
            print(f"{same / count:10.4%} of {count} ids equal  {way}", flush=True)
            if way == Condition() and found["settled"]:
                seen = {key: found[key] for key in ("settled", "error", "tolerance")}
                print(
                    f"{seen['settled']} ids of 32 pictures settled; error {seen['error']:.1e}, tolerance {seen['tolerance']:.0e}",
                    flush=True,
                )
    if a.output:
        meta = {"model": a.model, "folder": a.folder.name, "pictures": len(first or []), **seen}
        a.output.write_text(json.dumps({"meta": meta, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    return int(any(row["equal"] < row["ids"] and "stable" in row["way"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
