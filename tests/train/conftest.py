"""A shard that all tests of the trainer share."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A webdataset shard of twelve pictures; the first two fall into the validation part."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(0)
    with tarfile.open(folder / "mini.tar", "w") as tar:
        for i in range(12):
            coarse = rng.integers(0, 255, (9, 10, 3)).astype(np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(coarse).resize((90, 80), Image.Resampling.BICUBIC).save(buffer, "webp", quality=92)
            add(tar, f"{i:06d}.webp", buffer.getvalue())
            add(tar, f"{i:06d}.json", json.dumps({"sha256": f"{i * 5:02x}" + "0" * 62, "size": [90, 80]}).encode())
    return folder


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
