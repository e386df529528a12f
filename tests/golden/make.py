"""Makes the golden files of a format version: python tests/golden/make.py. Existing files are never replaced.

Each NAME.tkd has NAME.png beside it, what it decoded to when it was made. Files stay for ever: a later release reads them
all, or its format version says why not.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tokodec import compress, decompress

HERE = Path(__file__).parent


def sample(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """A smooth picture with an edge, the same on every machine: integers only."""
    y, x = np.mgrid[:height, :width]
    planes = [(x * (3 + c) + y * (5 - c) + 40 * ((x + 2 * y) // 17 % 2)) % 256 for c in range(channels)]
    return np.stack(planes, -1).astype(np.uint8)


def main() -> None:
    """Write the files that are not there yet."""
    cases = {
        "v0-rgb-low": (sample(48, 64, 3), 0.0),
        "v0-rgb-high": (sample(37, 61, 3), 1.0),
        "v0-rgba": (sample(30, 20, 4), 0.5),
        "v0-gray": (sample(21, 33, 1), 0.7),
        "v0-pixel": (sample(1, 1, 3), 0.3),
        "v0-line": (sample(2, 300, 3), 0.6),
    }
    for name, (picture, quality) in cases.items():
        path = HERE / f"{name}.tkd"
        if not path.exists():
            write(path, compress(picture, model="hyperprior_vr_test", quality=quality))
    steps = {"v0-fourstep-low": (sample(70, 93, 3), 0.1), "v0-fourstep-high": (sample(37, 61, 4), 0.9)}
    for name, (picture, quality) in steps.items():
        path = HERE / f"{name}.tkd"
        if not path.exists():
            write(path, compress(picture, model="fourstep_vr_test", quality=quality))
    published = (
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
    for model in published:
        path = HERE / f"v0-{model.replace('_', '-')}.tkd"
        if not path.exists():
            write(path, compress(sample(70, 93, 3), model=f"{model}_test"))
    for model in ("dcvc_rt_intra", "dcvc_uf_intra"):
        path = HERE / f"v0-{model.replace('_', '-')}.tkd"
        if not path.exists():
            write(path, compress(sample(70, 93, 3), model=f"{model}_test", quality=0.6))
    tokens = {
        "v0-ids": sample(48, 64, 3),
        "v0-ids-large": sample(160, 330, 3),
        "v0-ids-alpha": sample(30, 20, 4),
        "v0-ids-pixel": sample(1, 1, 3),
    }
    for name, picture in tokens.items():
        path = HERE / f"{name}.tkd"
        if not path.exists():
            write(path, compress(picture, model="vq_test"))


def write(path: Path, data: bytes) -> None:
    """A file, and what it decodes to."""
    path.write_bytes(data)
    Image.fromarray(np.asarray(decompress(data))).save(path.with_suffix(".png"))


if __name__ == "__main__":
    main()
