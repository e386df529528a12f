"""How much of a codebook is in use, and what the files of tokens save, on pictures cut to 256x256.

    python -m benchmarks.codebook FOLDER [FOLDER ...] [-m MODEL] [--ids 131072]

Takes so many pictures of the folders, evenly spread, that their ids are as many as asked. Prints the share of codes that occur,
the perplexity of their frequencies, mean PSNR, and payload bytes against raw bits: the mean saving and the worst picture.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from tokodec.codecs.token import TokenCodec
from tokodec.eval.suite import Suite, find_suite, load
from tokodec.machine import Machine
from tokodec.media.pixels import to_uint8, to_unit
from tokodec.metrics.codebook import perplexity, usage
from tokodec.metrics.psnr import psnr

SIDE = 256


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("-m", "--model", default="vq_f16")
    parser.add_argument("--ids", type=int, default=131_072)
    a = parser.parse_args()
    codec, suite = Machine().codec(a.model), Suite(name="codebook", crop="centre256")
    assert isinstance(codec, TokenCodec)
    stream = next(iter(codec.tokenizer.blank((SIDE, SIDE)).streams.values()))
    entries = [entry for folder in a.folders for entry in find_suite(folder, None)[1]]
    count, raw = min(a.ids // stream.ids.numel(), len(entries)), float(stream.bits[0]) / 8
    ids, decibels, payloads = [], [], []
    with torch.inference_mode():
        for i in range(count):
            picture = load(entries[i * len(entries) // count], suite)
            symbols = codec.symbols(to_unit(picture))
            ids.append(symbols.values["ids"].flatten().numpy())
            payloads.append(len(codec.write(symbols)[0]))
            decibels.append(psnr(picture, to_uint8(codec.synthesise(symbols))[0]))
    together, size = np.concatenate(ids), stream.vocab[0]
    print(f"{a.model}: {Path(a.folders[0]).name} and others, {count} pictures, {together.size} ids, PSNR {np.mean(decibels):.2f} dB")
    print(f"codes used {usage(together, size):.2%}, perplexity {perplexity(together):.0f} ({perplexity(together) / size:.2f} K)")
    print(f"payloads {1 - np.mean(payloads) / raw:.1%} below raw bits on average, the worst {max(payloads) - raw:+.0f} bytes")


if __name__ == "__main__":
    main()
