"""Makes the golden files of a format version: python tests/golden/make.py. Existing files are never replaced.

Each NAME.tkd has NAME.png beside it, what it decoded to when it was made. Files stay for ever: a later release reads them
all, or its format version says why not.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tokodec import compress, decompress, files
from tokodec.entropy.tileplan import Tiling
from tokodec.machine import Machine
from tokodec.media.read import from_image
from tokodec.rate import Quality

HERE = Path(__file__).parent


def sample(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """A smooth picture with an edge, the same on every machine: integers only."""
    y, x = np.mgrid[:height, :width]
    planes = [(x * (3 + c) + y * (5 - c) + 40 * ((x + 2 * y) // 17 % 2)) % 256 for c in range(channels)]
    return np.stack(planes, -1).astype(np.uint8)


Case = tuple[NDArray[np.uint8], str, float | None]
"""A picture, a model and a quality."""

VARIABLE = {
    "v0-rgb-low": (sample(48, 64, 3), "hyperprior_vr_test", 0.0),
    "v0-rgb-high": (sample(37, 61, 3), "hyperprior_vr_test", 1.0),
    "v0-rgba": (sample(30, 20, 4), "hyperprior_vr_test", 0.5),
    "v0-gray": (sample(21, 33, 1), "hyperprior_vr_test", 0.7),
    "v0-pixel": (sample(1, 1, 3), "hyperprior_vr_test", 0.3),
    "v0-line": (sample(2, 300, 3), "hyperprior_vr_test", 0.6),
    "v0-fourstep-low": (sample(70, 93, 3), "fourstep_vr_test", 0.1),
    "v0-fourstep-high": (sample(37, 61, 4), "fourstep_vr_test", 0.9),
    "v0-dcvc-rt-intra": (sample(70, 93, 3), "dcvc_rt_intra_test", 0.6),
    "v0-prefix-low": (sample(40, 70, 3), "one_d_piece_test", 0.3),
    "v0-prefix-high": (sample(33, 20, 4), "retok_test", 1.0),
    "v0-prefix-prior": (sample(40, 70, 3), "spectral_test", 0.9),
    "v0-dcvc-uf-intra": (sample(70, 93, 3), "dcvc_uf_intra_test", 0.6),
}
PUBLISHED = (
    "channelwise",
    "factorized",
    "hyperprior",
    "mean_scale",
    "joint_ar",
    "cheng2020_attn",
    "cheng2020_checkerboard",
    "elic",
    "elic_chandelier",
)
TOKENS = {
    "v0-ids": sample(48, 64, 3),
    "v0-ids-large": sample(160, 330, 3),
    "v0-ids-alpha": sample(30, 20, 4),
    "v0-ids-pixel": sample(1, 1, 3),
}

ROW: Case = (sample(40, 70, 3), "titok_test", None)


def cases() -> dict[str, Case]:
    """All pictures that are coded as a whole, by the name of their file."""
    published: dict[str, Case] = {f"v0-{m.replace('_', '-')}": (sample(70, 93, 3), f"{m}_test", None) for m in PUBLISHED}
    tokens: dict[str, Case] = {name: (picture, "vq_test", None) for name, picture in TOKENS.items()}
    return {**VARIABLE, **published, **tokens, "v0-ids-dual": (sample(160, 330, 3), "dual_test", None), "v0-row": ROW}


def tiles() -> bytes:
    """One in tiles."""
    machine = Machine()
    tiling = Tiling(side=64, above=0)
    return files.encode(from_image(sample(130, 93, 3)), machine.codec("fourstep_vr_test"), Quality(0.6), machine, tiling).data


def main() -> None:
    """Write the files that are not there yet."""
    for name, (picture, model, quality) in cases().items():
        path = HERE / f"{name}.tkd"
        if not path.exists():
            write(path, compress(picture, model=model, quality=quality))
    if not (HERE / "v0-tiles.tkd").exists():
        write(HERE / "v0-tiles.tkd", tiles())


def write(path: Path, data: bytes) -> None:
    """A file, and what it decodes to."""
    path.write_bytes(data)
    Image.fromarray(np.asarray(decompress(data))).save(path.with_suffix(".png"))


if __name__ == "__main__":
    main()
