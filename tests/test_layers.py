"""Files in layers: cut and damaged everywhere, fewer tokens, sizes that are met, and what stands beside the ids."""

import random
from dataclasses import replace
from io import BytesIO
from typing import cast
from zlib import crc32

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from seal import claim_size, reseal
from tkd import mutated

import tokodec
from tokodec import files
from tokodec.api import Symbols
from tokodec.codecs.prefix import PrefixCodec
from tokodec.entropy.container import Kind, Segment, TkdFile, pack, salvage, unpack
from tokodec.entropy.layerplan import LayerPlan, lengths_of, plan_of
from tokodec.errors import CorruptFile, FingerprintMismatch, InputError
from tokodec.files import Named, Wanted
from tokodec.machine import Machine
from tokodec.media.picture import Picture
from tokodec.rate import Length, Prefixes, Quality, Rate, TargetBpp, TargetBytes

MODELS = ("one_d_piece_test", "retok_test", "spectral_test")
MACHINE = Machine()


def scene(height: int, width: int) -> Picture:
    y, x = np.arange(height)[:, None, None], np.arange(width)[:, None]
    noise = np.random.default_rng(7).normal(0, 9, (height, width, 3))
    return Picture(rgb=(128 + 60 * np.sin(x / 9 + np.arange(3)) * np.cos(y / 7) + noise).clip(0, 255).astype(np.uint8))


PICTURE = scene(40, 30)
"""Two windows."""


def codec_of(name: str) -> PrefixCodec:
    codec = MACHINE.codec(name)
    assert isinstance(codec, PrefixCodec)
    return codec


def made(name: str, rate: Rate, picture: Picture = PICTURE) -> bytes:
    return files.encode(picture, codec_of(name), rate, MACHINE).data


def decoded(data: bytes, **wanted: object) -> np.ndarray:
    return files.decode(data, Named(), MACHINE, wanted=Wanted(**wanted)).rgb  # type: ignore[arg-type]


def layer_ends(data: bytes) -> list[int]:
    """Where a cut leaves whole layers."""
    file = unpack(data)
    first = sum(segment.kind != Kind.PAYLOAD for segment in file.segments)
    upto = [replace(file, segments=file.segments[: first + n + 1]) for n in range(len(file.payloads))]
    return [len(pack(file)) - 5 for file in upto]


@pytest.fixture(scope="module", params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def data() -> bytes:
    return made("one_d_piece_test", Length(5))


@pytest.fixture(scope="module")
def by_layer(data: bytes) -> list[np.ndarray]:
    """The picture of each layer, out of files that never had more."""
    return [decoded(made("one_d_piece_test", Length(k))) for k in lengths_of(5)]


# --- what a file holds


def test_layers_end_after_1_2_4_ids_of_each_window(name: str) -> None:
    row = codec_of(name).row
    for kept in (1, 2, 3, row):
        file = unpack(made(name, Length(kept)))
        plan = plan_of(file)
        assert plan is not None
        assert [layer.ids for layer in plan.layers] == [2 * n for n in lengths_of(kept)]
        assert len(file.payloads) == len(plan.layers)
        assert file.header.symbol_crc == plan.layers[-1].crc


def test_a_layer_is_that_of_the_shorter_file(name: str) -> None:
    long, short = (unpack(made(name, Length(n))) for n in (4, 2))
    assert long.payloads[:2] == short.payloads
    assert LayerPlan.unpack(long.segment(Kind.LAYERS) or b"").first(2).pack() == short.segment(Kind.LAYERS)


def test_a_whole_file_is_the_picture_of_its_ids(name: str) -> None:
    codec = codec_of(name)
    tokens = files.tokenize(PICTURE, codec.tokenizer, MACHINE)
    wanted = files.detokenize(tokens, codec.tokenizer, MACHINE).rgb
    assert np.array_equal(decoded(made(name, Quality(1.0))), wanted)
    assert np.array_equal(decoded(made(name, Length(3))), decoded(made(name, Quality(1.0)), tokens=3))


def test_rows_that_end_anywhere(name: str) -> None:
    """Tokens cut by others may have an id of some windows only."""
    codec = codec_of(name)
    symbols = codec.symbols_of(files.tokenize(PICTURE, codec.tokenizer, MACHINE))
    for count in (2, 3, 5, 7):
        one = codec.first(symbols, count)
        plan, payloads = codec.layers(one)
        assert plan.layers[-1].ids == count
        assert codec.read_layers(plan, payloads, one.size).crc32() == one.crc32()


def test_items_of_several_lengths_have_files_of_their_own(name: str) -> None:
    codec = codec_of(name)
    x = files.to_unit(PICTURE.rgb).expand(3, -1, -1, -1)
    with torch.inference_mode():
        symbols = codec.symbols(x, torch.tensor([0.0, 0.6, 1.0]))
        again = [codec.read_layers(*codec.layers(symbols[i : i + 1]), symbols.size) for i in range(3)]
        assert [one.crc32() for one in again] == [[crc] for crc in symbols.crc32()]
        assert len(set(symbols.level.tolist())) == 3
        assert torch.equal(codec.synthesise(Symbols.join(again)), codec.synthesise(symbols))


# --- cuts and damage


@pytest.mark.parametrize("partial", [unpack, salvage])
def test_every_cut(data: bytes, by_layer: list[np.ndarray], partial: object) -> None:
    ends = layer_ends(data)
    for cut in range(len(data)):
        there = sum(end <= cut for end in ends)
        if cut in ends or (there and partial is salvage):
            assert np.array_equal(decoded(data[:cut], unpack=partial), by_layer[there - 1])
        else:
            with pytest.raises(CorruptFile):
                decoded(data[:cut], unpack=partial)


def test_every_flipped_byte(data: bytes, by_layer: list[np.ndarray]) -> None:
    ends = layer_ends(data)
    for at in range(len(data)):
        bad = data[:at] + bytes((data[at] ^ (1 << at % 8),)) + data[at + 1 :]
        with pytest.raises((CorruptFile, FingerprintMismatch)):
            decoded(bad)
        there = sum(end <= at for end in ends)
        if there:
            assert np.array_equal(decoded(bad, unpack=salvage), by_layer[there - 1])
        else:
            with pytest.raises((CorruptFile, FingerprintMismatch)):
                decoded(bad, unpack=salvage)


def test_of_the_door(data: bytes, by_layer: list[np.ndarray]) -> None:
    end = layer_ends(data)[1]
    for found in (tokodec.decompress(data, tokens=2), tokodec.decompress(data[:end]), tokodec.decompress(data[: end + 3], partial=True)):
        assert np.array_equal(np.asarray(found), by_layer[1])
    assert tokodec.decompress(data, (3, 4, 10, 20), tokens=1).size == (10, 20)
    with pytest.raises(CorruptFile):
        tokodec.decompress(data[: end + 3])
    for tokens in (0, -1):
        with pytest.raises(InputError, match="1 id or more"):
            tokodec.decompress(data, tokens=tokens)


@pytest.mark.parametrize("model", ["vq_test", "titok_test", "hyperprior_vr_test"])
def test_files_without_layers_refuse_tokens_by_name(model: str) -> None:
    data = tokodec.compress(PICTURE.rgb, model=model)
    with pytest.raises(InputError, match=f"{model} has no layers"):
        tokodec.decompress(data, tokens=3)
    assert tokodec.decompress(data, partial=True) == tokodec.decompress(data)
    with pytest.raises(CorruptFile):
        tokodec.decompress(data[:-1], partial=True)


def test_no_more_layers_are_read_than_are_wanted(data: bytes, by_layer: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    read = PrefixCodec.read_layers

    def counted(self: PrefixCodec, plan: LayerPlan, payloads: list[bytes], size: tuple[int, ...]) -> object:
        seen.append(len(payloads))
        return read(self, plan, payloads, size)

    monkeypatch.setattr(PrefixCodec, "read_layers", counted)
    for tokens, layers in ((1, 1), (2, 2), (3, 3), (5, 4), (99, 4)):
        rgb = decoded(data, tokens=tokens)
        assert seen.pop() == layers
        if tokens <= 2:
            assert np.array_equal(rgb, by_layer[tokens - 1])


def resealed_plan(data: bytes, rng: random.Random) -> bytes:
    """A plan that was changed, in a file whose checksums are right."""
    file = unpack(data)
    changed = [replace(s, data=mutated(s.data, rng)) if s.kind == Kind.LAYERS else s for s in file.segments]
    return pack(replace(file, segments=tuple(changed)))


def resealed_layer(data: bytes, rng: random.Random) -> bytes:
    file = unpack(data)
    at = rng.choice([i for i, s in enumerate(file.segments) if s.kind == Kind.PAYLOAD])
    changed = [replace(s, data=mutated(s.data, rng)) if i == at else s for i, s in enumerate(file.segments)]
    return pack(replace(file, segments=tuple(changed)))


def repaired(data: bytes, rng: random.Random) -> bytes:
    return reseal(mutated(data, rng))


@pytest.mark.parametrize("mutate", [resealed_plan, resealed_layer, repaired], ids=lambda m: m.__name__)
def test_hostile_files(data: bytes, by_layer: list[np.ndarray], mutate: object) -> None:
    """The picture of some layer, or an error of ours, with and without --partial."""
    for seed in range(80):
        bad = mutate(data, random.Random(seed))  # type: ignore[operator]
        for way in (unpack, salvage):
            try:
                rgb = decoded(bad, unpack=way)
            except (CorruptFile, FingerprintMismatch):
                continue
            assert any(np.array_equal(rgb, wanted) for wanted in by_layer)


def test_a_layer_of_another_file_is_seen(data: bytes) -> None:
    other = unpack(made("one_d_piece_test", Length(5), Picture(rgb=PICTURE.rgb[::-1].copy())))
    file = unpack(data)
    segments = list(file.segments)
    for at, segment in enumerate(segments):
        swapped = replace(file, segments=(*segments[:at], other.segments[at], *segments[at + 1 :]))
        if segment == other.segments[at]:
            continue
        with pytest.raises(CorruptFile):
            decoded(pack(swapped))


def test_claims_that_bytes_cannot_hold_are_refused_at_once(data: bytes) -> None:
    for size in ((2**14, 2**14), (33, 65), (1, 1)):
        with pytest.raises(CorruptFile):
            decoded(claim_size(data, *size))


def test_plans_of_others_are_refused(data: bytes) -> None:
    file = unpack(data)
    bare = replace(file, segments=(Segment(kind=Kind.PAYLOAD, data=file.payload),))
    with pytest.raises(CorruptFile, match="has no layers"):
        decoded(pack(bare))
    plain = unpack(tokodec.compress(PICTURE.rgb, model="vq_test"))
    plan = replace(cast("LayerPlan", plan_of(file)).layers[0], crc=plain.header.symbol_crc)
    segments = (Segment(kind=Kind.LAYERS, data=LayerPlan(layers=(plan,)).pack()), *plain.segments)
    with pytest.raises(CorruptFile, match="vq_test never writes"):
        decoded(pack(TkdFile(header=plain.header, segments=segments)))


# --- sizes


class Curve(Prefixes):
    """Files that grow by steps of any size."""

    def __init__(self, steps: list[int]) -> None:
        self.sizes, self.most, self.made = np.cumsum(steps).tolist(), len(steps), 0

    def kept(self, quality: float | None) -> int:
        return self.most if quality is None else 1 + round(quality * (self.most - 1))

    def file(self, tokens: int) -> bytes:
        self.made += 1
        return bytes(self.sizes[tokens - 1])


@given(st.lists(st.integers(1, 60), min_size=1, max_size=300), st.integers(1, 9000))
@settings(deadline=None, max_examples=150)
def test_the_longest_prefix_that_fits(steps: list[int], target: int) -> None:
    curve = Curve(steps)
    coded = TargetBytes(target).longest(curve, 1000)
    assert coded.tokens is not None
    assert coded.tokens == max(sum(size <= target for size in curve.sizes), 1)
    assert len(coded.data) == curve.sizes[coded.tokens - 1]
    assert bool(coded.missed) == (not 0.97 * target <= len(coded.data) <= target)
    assert curve.made <= 2 + max(curve.most, 1).bit_length()


def test_sizes_of_real_files(name: str) -> None:
    codec = codec_of(name)
    sizes = [len(made(name, Length(k))) for k in range(1, codec.row + 1)]
    assert sizes == sorted(sizes)
    for target in (sizes[0] - 1, *sizes, sizes[-1] + 100):
        coded = files.encode(PICTURE, codec, TargetBytes(target), MACHINE)
        wanted = max(sum(size <= target for size in sizes), 1)
        assert len(coded.data) == sizes[wanted - 1]
        assert bool(coded.missed) == (target not in range(sizes[0], sizes[-1] + 1))
    bpp = files.encode(PICTURE, codec, TargetBpp(8 * sizes[2] / 1200), MACHINE)
    assert len(bpp.data) == sizes[2]


def test_misses_are_told() -> None:
    curve = Curve([100, 100, 100])
    assert "1 token a window, the fewest, gives 100 bytes" in TargetBytes(50).longest(curve, 8).missed
    assert "3 tokens a window, the most, give 300 bytes" in TargetBytes(900).longest(curve, 8).missed
    assert "the most that fit give 200 bytes" in TargetBytes(250).longest(curve, 8).missed
    assert TargetBytes(300).longest(curve, 8).missed == ""


def test_a_quality_keeps_what_the_tokenizer_says(name: str) -> None:
    codec = codec_of(name)
    for quality in (0.0, 0.3, 0.5, 1.0):
        tokens = codec.tokenizer.encode(files.to_unit(PICTURE.rgb), quality=quality)
        (stream,) = tokens.streams.values()
        coded = files.encode(PICTURE, codec, Quality(quality), MACHINE)
        assert stream.lengths is not None
        assert [2 * (coded.tokens or 0)] == stream.lengths.tolist()


def test_a_number_of_ids_is_for_models_with_layers() -> None:
    with pytest.raises(InputError, match="coarse to fine"):
        files.encode(PICTURE, MACHINE.codec("vq_test"), Length(3), MACHINE)
    with pytest.raises(InputError, match="1 id or more"):
        Length(0)


# --- what stands beside the ids


def test_a_cut_loses_no_alpha_and_no_profile() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = replace(PICTURE, alpha=np.arange(1200, dtype=np.uint8).reshape(40, 30), icc=profile)
    data = made("retok_test", Length(5), picture)
    kinds = "".join(chr(s.kind) for s in unpack(data).segments)
    assert kinds.strip("P") in ("iAL", "AiL")
    for end in layer_ends(data):
        found = files.decode(data[:end], Named(), MACHINE)
        assert found.alpha is not None
        assert picture.alpha is not None
        assert np.array_equal(found.alpha, picture.alpha)
        assert found.icc == profile


def test_gray_stays_gray() -> None:
    gray = BytesIO()
    Image.fromarray(PICTURE.rgb[..., 0]).save(gray, "PNG")
    assert tokodec.decompress(tokodec.compress(gray.getvalue(), model="retok_test")).mode == "L"


def test_one_window_and_one_id_is_one_layer() -> None:
    data = made("one_d_piece_test", Length(1), scene(3, 2))
    (layer,) = cast(LayerPlan, plan_of(unpack(data))).layers
    assert layer.ids == 1
    assert crc32(data[:-4]) == int.from_bytes(data[-4:], "little")
    assert np.array_equal(decoded(data[:-5]), decoded(data))
