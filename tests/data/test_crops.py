"""Training samples: the same bytes whoever cuts them."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tokodec.data import shards
from tokodec.data.crops import CropConfig, Crops
from tokodec.data.resident import ResidentCrops

CATEGORIES = ("text", "photo", "")


@pytest.fixture
def samples(tmp_path: Path) -> list[shards.Sample]:
    rng = np.random.default_rng(0)
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for key, (width, height) in enumerate([(40, 50), (96, 70), (33, 32)]):
            data = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(data, "PNG")
            about = {"size": [width, height], "sha256": f"{key:064x}", "category": CATEGORIES[key]}
            meta = json.dumps({name: value for name, value in about.items() if value}).encode()
            for name, content in ((f"{key:06d}.png", data.getvalue()), (f"{key:06d}.json", meta)):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return shards.index([tmp_path / "shard.tar"])


@pytest.mark.parametrize("config", [CropConfig(size=32), CropConfig(size=32, reduce_from=0.3)])
def test_a_device_cuts_what_the_processor_cuts(samples: list[shards.Sample], config: CropConfig) -> None:
    own = Crops(samples, seed=3, times={}).batch(5, 24, config)
    resident = ResidentCrops(samples, seed=3, times={}, device=torch.device("cpu")).batch(5, 24, config)
    assert torch.equal(own.pixels, resident.pixels)
    assert torch.equal(own.quality, resident.quality)


def test_a_sample_is_a_function_of_its_position(samples: list[shards.Sample]) -> None:
    config = CropConfig(size=32, reduce_from=0.5)
    whole = Crops(samples, seed=3, times={}).batch(0, 12, config).pixels
    parts = Crops(samples, seed=3, times={})
    assert torch.equal(torch.cat([parts.batch(8, 4, config).pixels, parts.batch(0, 8, config).pixels]), whole.roll(4, 0))
    assert not torch.equal(Crops(samples, seed=4, times={}).batch(0, 12, config).pixels, whole)


def test_an_epoch_goes_through_a_category_as_often_as_it_should(samples: list[shards.Sample]) -> None:
    for times, epoch in (({}, [1, 1, 1]), ({"text": 3}, [3, 1, 1]), ({"photo": 2, "nothing": 9}, [1, 2, 1]), ({"text": 0}, [0, 1, 1])):
        numbers = Crops(samples, seed=3, times=times).batch(0, 2 * sum(epoch), CropConfig(size=32)).picture
        seen = [int((numbers == shards.number_of(sample.name)).sum()) for sample in samples]
        assert seen == [2 * n for n in epoch]


def test_qualities_may_prefer_low_ones(samples: list[shards.Sample]) -> None:
    even, low = (Crops(samples, seed=3, times={}).batch(0, 24, CropConfig(size=32, quality_power=p)).quality for p in (1.0, 3.0))
    assert torch.allclose(low, even**3)


def test_reduced_samples_are_means_of_four(samples: list[shards.Sample]) -> None:
    config = CropConfig(size=32, reduce_from=0.0)
    picture = samples[1].read().astype(np.int64)
    pixels = Crops([samples[1]], seed=0, times={}).batch(0, 6, config).pixels.mul(255).round().long()
    halves = {
        ((w.reshape(32, 2, 32, 2, 3).sum((1, 3)) + 2) // 4)[:, ::step].tobytes()
        for top in range(7)
        for left in range(33)
        for w in [picture[top : top + 64, left : left + 64]]
        for step in (1, -1)
    }
    assert all(p.permute(1, 2, 0).contiguous().numpy().tobytes() in halves for p in pixels)


def test_a_sample_says_where_it_was_cut(samples: list[shards.Sample]) -> None:
    batch = Crops(samples, seed=3, times={}).batch(0, 24, CropConfig(size=32, reduce_from=0.5))
    by_number = {shards.number_of(sample.name): sample for sample in samples}
    for pixels, number, window in zip(batch.pixels, batch.picture.tolist(), batch.window, strict=True):
        whole = torch.from_numpy(by_number[number].read().copy()).permute(2, 0, 1).float() / 255
        height, width = whole.shape[1:]
        left, top, right, bottom = (round(float(share) * side) for share, side in zip(window[:4], (width, height) * 2, strict=True))
        cut = whole[:, top:bottom, left:right]
        cut = torch.nn.functional.avg_pool2d(cut, cut.shape[1] // 32)
        assert torch.allclose(pixels, cut.flip(2) if window[4] else cut, atol=2 / 255)
    assert batch.window[:, 4].unique().tolist() == [0, 1]
