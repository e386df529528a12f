"""How much of a codebook is in use, and what the files of tokens save, on pictures cut to 256x256.

    python -m benchmarks.codebook FOLDER [FOLDER ...] [-m MODEL] [--ids 131072]

Takes so many pictures of the folders, evenly spread, that their ids are as many as asked. Prints the share of codes that occur,
the perplexity of their frequencies, mean PSNR, and payload bytes against raw bits: the mean saving and the worst picture. With ``-o`` the
figures of one model after the other are kept in a JSON file.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tokodec.catalogue import resolve
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
    parser.add_argument("-o", "--output", type=Path)
    a = parser.parse_args()
    found = measured(a.model, a.folders, a.ids)
    print(f"{a.model}: {Path(a.folders[0]).name} and others, {found['pictures']} pictures, {found['ids']} ids, PSNR {found['psnr']:.2f} dB")
    share = found["perplexity"] / found["size"]
    print(f"codes used {found['used']:.2%}, perplexity {found['perplexity']:.0f} ({share:.2f} K) of {found['codebooks']} x {found['size']}")
    print(f"payloads {found['saved']:.1%} below raw bits on average, the worst {found['worst_bytes']:+.0f} bytes")
    if a.output is not None:
        kept = json.loads(a.output.read_text()) if a.output.exists() else {}
        a.output.write_text(json.dumps(kept | {resolve(a.model): found}, indent=1) + "\n")


def measured(model: str, folders: Sequence[str], most: int) -> dict[str, Any]:
    """All figures. Of several codebooks, ``used`` is that of the one least used, and ``perplexity`` the mean."""
    codec, suite = Machine().codec(model), Suite(name="codebook", crop="centre256")
    assert isinstance(codec, TokenCodec)
    stream = next(iter(codec.tokenizer.blank((SIDE, SIDE)).streams.values()))
    entries = [entry for folder in folders for entry in find_suite(folder, None)[1]]
    count, raw = min(most // (stream.ids.numel() // len(stream.vocab)), len(entries)), float(stream.bits[0])
    ids, decibels, payloads = [], [], []
    with torch.inference_mode():
        for i in range(count):
            picture = load(entries[i * len(entries) // count], suite)
            symbols = codec.symbols(to_unit(picture))
            ids.append(symbols.values["ids"][0].flatten(1).numpy())
            payloads.append(len(codec.write(symbols)[0]))
            decibels.append(psnr(picture, to_uint8(codec.synthesise(symbols))[0]))
    together = np.concatenate(ids, 1)
    return {
        "pictures": count,
        "ids": together.shape[1],
        "psnr": float(np.mean(decibels)),
        "raw_bits": raw,
        "codebooks": len(together),
        "size": stream.vocab[0],
        "used": min(usage(one, size) for one, size in zip(together, stream.vocab, strict=True)),
        "perplexity": float(np.mean([perplexity(one) for one in together])),
        "saved": 1 - float(np.mean(payloads)) * 8 / raw,
        "worst_bytes": max(payloads) - raw / 8,
    }


if __name__ == "__main__":
    main()
