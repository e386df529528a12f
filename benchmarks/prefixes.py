"""How pictures get better with every id of a row from coarse to fine: mean PSNR at 1, 2, 4, ... ids, and how often one more step hurts.

    python -m benchmarks.prefixes FOLDER [-m 1d] [--pictures 150]

Pictures cut to 256x256, evenly spread over the folder. For ``spectral`` also the largest error of float32 in a coordinate that is
quantized, in units of the scale of its frequency, which the tolerance has to stay above, and how many windows it puts in doubt.
"""

import argparse

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tokodec.eval.suite import Suite, find_suite, load
from tokodec.media.pixels import to_uint8, to_unit
from tokodec.metrics.psnr import psnr
from tokodec.pretrained import store
from tokodec.quantizers.base import SureQuantizer
from tokodec.tokenizers.prefix import PrefixTokenizer
from tokodec.tokenizers.spectral import SpectralTokenizer


def error(model: SpectralTokenizer, x: Float[Tensor, "1 3 s s"]) -> tuple[float, bool]:
    """Of float32 beside float64, and whether the window is encoded again."""
    native = model.to_native(x).contiguous(memory_format=model.layout)
    z = model.latents(native)
    difference = (z - model.exactly(native)).abs() / model.analysis.scale.exp()[:, None]
    assert isinstance(model.quantizer, SureQuantizer)
    return float(difference.max()), bool(model.in_doubt(model.quantizer.choose(z)))


@torch.inference_mode()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("-m", "--model", default="1d")
    parser.add_argument("--pictures", type=int, default=150)
    a = parser.parse_args()
    torch.set_num_threads(1)
    model, (_, entries) = store.load(a.model), find_suite(a.folder, None)
    assert isinstance(model, PrefixTokenizer)
    lengths = [1 << n for n in range(model.row.bit_length())]
    rows, errors = [], []
    for entry in entries[:: max(1, len(entries) // a.pictures)][: a.pictures]:
        picture = load(entry, Suite(name="prefixes", crop="centre256"))
        x = to_unit(picture)
        tokens = model.encode(x)
        rows.append([psnr(picture, to_uint8(model.decode(model.truncate(tokens, k)))[0]) for k in lengths])
        if isinstance(model, SpectralTokenizer):
            errors.append(error(model, x))
    steps = np.diff(rows, axis=1)
    means = ", ".join(f"{k}: {mean:.2f}" for k, mean in zip(lengths, np.mean(rows, 0), strict=True))
    print(f"{a.model}, {len(rows)} pictures, PSNR dB at ids {means}")
    print(f"{(steps < 0).mean():.2%} of steps make a picture worse, by {-min(steps.min(), 0):.2f} dB at most")
    if errors:
        largest, again = (np.array(column) for column in zip(*errors, strict=True))
        print(f"largest error of float32 {largest.max():.2g} of a frequency's scale; {again.sum()} of {again.size} windows encoded again")


if __name__ == "__main__":
    main()
