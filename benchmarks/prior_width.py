"""What a wider prior over ids, or a longer training of it, is worth in bits.

    python -m benchmarks.prior_width MODEL --data DATA [--widths 64,192] [--steps 900,2700] [--crops 9600] [-o RESULT.json]

MODEL is a tokenizer of one lattice, its prior left aside. Ids of ``--crops`` crops of 256x256 out of the training part of ``DATA/train``
are made once; nets of each width are trained on them for each number of steps, 32 crops each, and measured on the middle of every
picture of the validation part: ideal bits an id, beside those of plain ids. Also the bits of training: who learns by heart shows.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tokodec.data.crops import CropConfig, Crops
from tokodec.data.shards import Sample, index, split
from tokodec.entropy.idnet import IdNet, whole
from tokodec.media.pixels import to_unit
from tokodec.pretrained.store import load
from tokodec.tokenizers.conv import ConvTokenizer

SIDE, BATCH, RATE, WARMUP, DECAY = 256, 32, 4e-3, 50, 0.6


@torch.inference_mode()
def ids_of(model: ConvTokenizer, pictures: list[Tensor]) -> Tensor:
    """Of pictures of one size, batch by batch."""
    return torch.cat([model.encode(x).ids for x in pictures])


def middles(samples: list[Sample]) -> list[Tensor]:
    """The middle of each picture that is large enough."""
    found: list[Tensor] = []
    for sample in samples:
        picture = sample.read()
        top, left = ((n - SIDE) // 2 for n in picture.shape[:2])
        if min(top, left) >= 0:
            found.append(to_unit(np.ascontiguousarray(picture[top : top + SIDE, left : left + SIDE])))
    return found


def trained(train: Tensor, held: Tensor, codes: Tensor, width: int, steps: int) -> dict[str, float]:
    """Bits an id after training: of the last tenth of its steps, and of what was held back."""
    torch.manual_seed(0)
    cells = math.isqrt(len(codes) - 1) + 1
    net = IdNet(coarse=-(-len(codes) // cells), fine=cells, dim=codes.shape[1], width=width)
    optimiser = torch.optim.Adam(net.parameters(), RATE)
    costs: list[float] = []
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / WARMUP) * min(1, (1 - step / steps) / DECAY)
        cost = net(train[torch.randint(len(train), (BATCH,))], codes).mean()
        optimiser.zero_grad()
        cost.backward()
        optimiser.step()
        costs.append(float(cost.detach()))
    with torch.no_grad():
        bits = float(torch.cat([net(part, codes) for part in held.split(BATCH)]).mean())
    return {"training bits": float(np.mean(costs[-len(costs) // 10 :])), "bits": bits, "below raw": 1 - bits / math.log2(len(codes))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--widths", default="64,192")
    parser.add_argument("--steps", default="900,2700")
    parser.add_argument("--crops", type=int, default=9600)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = load(given.model, numerics="fast")
    assert isinstance(model, ConvTokenizer)
    assert len(model.quantizer.vocab) == 1, "a tokenizer of one codebook"
    train, held = split(index(sorted((given.data / "train").glob("shard-*.tar"))))
    crops, config = Crops(train, seed=5, times={}, cache_bytes=1 << 30), CropConfig(size=SIDE)
    known = ids_of(model, [crops.batch(start, 8, config).pixels for start in range(0, given.crops, 8)])
    kept = ids_of(model, middles(held))
    codes = whole(model.quantizer.lookup(torch.arange(model.quantizer.size)[None])[0])
    print("| width | steps | bits an id, training | bits an id | below raw | minutes |\n|---|---|---|---|---|---|")
    rows = []
    for width in map(int, given.widths.split(",")):
        for steps in map(int, given.steps.split(",")):
            start = time.perf_counter()
            row = {"width": width, "steps": steps, **trained(known, kept, codes, width, steps)}
            rows.append(row | {"minutes": (time.perf_counter() - start) / 60})
            print("| {width} | {steps} | {training bits:.3f} | {bits:.3f} | {below raw:.1%} | {minutes:.1f} |".format_map(rows[-1]))
    print(f"{given.model}: {len(known)} crops, {len(kept)} pictures held back")
    if given.output:
        given.output.write_text(json.dumps({"model": given.model, "crops": len(known), "held": len(kept), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
