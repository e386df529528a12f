"""CompressAI's side of many_files.py: one file after the other, a line for each that is done. It knows nothing of tokodec.

PYTHON many_files_peer.py compress|decompress SOURCE TARGET
"""

import struct
import sys
from pathlib import Path

import numpy as np
import torch
from compressai.models import MeanScaleHyperprior
from PIL import Image
from published_peer import randomised  # beside this file
from torch import Tensor, nn


def main() -> None:
    """Every file of a folder into another."""
    verb, source, target = sys.argv[1:]
    torch.manual_seed(0)
    smooth = nn.functional.interpolate(torch.rand(1, 3, 24, 24), size=(256, 256), mode="bicubic").clamp(0, 1)  # to scale latents by
    model = randomised(MeanScaleHyperprior(128, 192).eval(), smooth)
    work = {"compress": compress, "decompress": decompress}[verb]
    for path in sorted(p for p in Path(source).iterdir() if p.suffix in (".png", ".bin")):
        with torch.inference_mode():
            work(model, path, Path(target))
        print(path.name, flush=True)


def compress(model: nn.Module, path: Path, target: Path) -> None:
    """Read, code, write: the shape of the hyper latents, and the two strings with their lengths."""
    with Image.open(path) as image:
        x = torch.from_numpy(np.asarray(image.convert("RGB"))).permute(2, 0, 1)[None].float() / 255
    made = model.compress(x)
    y, z = (strings[0] for strings in made["strings"])
    (target / f"{path.stem}.bin").write_bytes(struct.pack("<4I", *made["shape"], len(y), len(z)) + y + z)


def decompress(model: nn.Module, path: Path, target: Path) -> None:
    """And back."""
    data = path.read_bytes()
    height, width, size, _ = struct.unpack_from("<4I", data)
    made = model.decompress([[data[16 : 16 + size]], [data[16 + size :]]], (height, width))
    Image.fromarray(as_bytes(made["x_hat"])).save(target / f"{path.stem}.png")


def as_bytes(x: Tensor) -> np.ndarray:
    """(1, 3, h, w) in [0, 1] as uint8 (h, w, 3)."""
    return (x[0].permute(1, 2, 0) * 255).round().clamp(0, 255).byte().numpy()


if __name__ == "__main__":
    main()
