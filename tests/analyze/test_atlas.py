"""Patches of codes, their neighbours, and the sheet they stand on."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tokodec.analyze.atlas import Painter, atlases, chosen, sheet
from tokodec.analyze.corpus import Corpus
from tokodec.analyze.figures import Figures, figures
from tokodec.analyze.neighbours import nearest
from tokodec.api import DiscreteTokenizer
from tokodec.media.pixels import to_uint8
from tokodec.pretrained import store


def untold(name: str, done: int, total: int) -> None:
    assert 0 < done <= total


def codebooks(model: DiscreteTokenizer, *grids: list[list[int]]) -> list[Figures]:
    (stream,) = model.blank((32, 32)).streams.values()
    sizes = zip(stream.vocab, grids, strict=True)
    return [
        figures(Corpus(stream="ids", codebook=k, size=size, axes=stream.axes, grids=[np.array(grid, np.uint16)]))
        for k, (size, grid) in enumerate(sizes)
    ]


def tokenizer(name: str) -> DiscreteTokenizer:
    model = store.load(name)
    assert isinstance(model, DiscreteTokenizer)
    return model


def tile(png: bytes, side: int, place: int, columns: int) -> np.ndarray:
    pixels = np.asarray(Image.open(io.BytesIO(png)))
    top, left = place // columns * side, place % columns * side
    return pixels[top : top + side, left : left + side]


def test_a_patch_is_the_middle_of_a_grid_of_one_code() -> None:
    model = tokenizer("vq_test")
    (atlas,) = atlases(model, codebooks(model, [[9, 9, 4]]), 64, untold)
    assert (atlas.side, atlas.columns, len(atlas.ids), atlas.total) == (16, 8, 64, 3)
    assert atlas.ids[:4] == [9, 4, 0, 1]
    assert atlas.counts[:4] == [2, 1, 0, 0]
    for place, code in ((0, 9), (1, 4), (63, 63)):
        tokens = model.blank((48, 48))
        ids = torch.full((1, 3, 3), code)
        with torch.inference_mode():
            wanted = to_uint8(model.decode(replace(tokens, streams={"ids": replace(tokens.streams["ids"], ids=ids)})))[0, 16:32, 16:32]
        assert np.array_equal(tile(atlas.png, 16, place, 8), wanted)


def test_other_codebooks_stand_at_their_most_frequent_code() -> None:
    model = tokenizer("bae_test")
    found = atlases(model, codebooks(model, [[1, 1, 2]], [[7, 5, 5]]), 64, untold)
    assert [atlas.name for atlas in found] == ["ids[0]", "ids[1]"]
    tokens = model.blank((6, 6))
    ids = torch.tensor([3, 5]).expand(1, 3, 3, 2)
    with torch.inference_mode():
        wanted = to_uint8(model.decode(replace(tokens, streams={"ids": replace(tokens.streams["ids"], ids=ids)})))[0, 2:4, 2:4]
    place = found[0].ids.index(3)
    assert np.array_equal(tile(found[0].png, 2, place, found[0].columns), wanted)


def test_neighbours_are_those_of_the_codebook() -> None:
    model = tokenizer("vq_test")
    (atlas,) = atlases(model, codebooks(model, [[0]]), 64, untold)
    vectors = model.quantizer.lookup(torch.arange(64)[None])[0].double()  # type: ignore[union-attr, operator]
    far = (vectors[:, None] - vectors).square().sum(2).sqrt().fill_diagonal_(torch.inf)
    for id_, near, distances in zip(atlas.ids, atlas.neighbours, atlas.distances, strict=True):
        assert near == far[id_].argsort()[:8].tolist()
        assert distances == pytest.approx(far[id_].sort().values[:8].tolist(), rel=1e-5)


def test_models_of_one_size_fill_it() -> None:
    model = tokenizer("bsqvit_test")
    (stream,) = model.blank((3 * model.stride,) * 2).streams.values()
    books = codebooks(model, *[[[1, 1, 0]]] * len(stream.vocab))
    assert Painter(model, books).at_once >= 1
    atlas = atlases(model, books, 2, untold)[0]
    assert stream.ids.shape[1] > 3, "a window of more places than are needed"
    assert (atlas.side, atlas.ids) == (model.stride, [1, 0])
    ids = torch.ones_like(stream.ids, device="cpu")
    size = (ids.shape[1] * model.stride, ids.shape[2] * model.stride)
    with torch.inference_mode():
        pixels = to_uint8(model.decode(replace(model.blank(size), streams={"ids": replace(stream, ids=ids)})))[0]
    top, left = (n // 2 * model.stride for n in ids.shape[1:3])
    assert np.array_equal(tile(atlas.png, atlas.side, 0, atlas.columns), pixels[top : top + model.stride, left : left + model.stride])


def test_only_the_most_frequent_of_a_large_codebook() -> None:
    model = tokenizer("vq_test")
    (book,) = codebooks(model, [[9, 9, 4, 3, 3, 3]])
    assert chosen(book.frequency, 2) == ([3, 9], [3, 2])
    assert chosen(book.frequency, 63)[0] == [3, 9, 4]
    (atlas,) = atlases(model, [book], 2, untold)
    assert (atlas.ids, [len(n) for n in atlas.neighbours]) == ([3, 9], [1, 1])
    assert "The 2 most frequent of 64" in atlas.about
    assert atlases(model, [book], 0, untold) == []


def test_a_sheet_goes_row_by_row() -> None:
    tiles = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((5, 2, 2, 3), np.uint8) * 40
    pixels = np.asarray(Image.open(io.BytesIO(sheet(tiles, 3))))
    assert pixels[::2, ::2, 0].tolist() == [[0, 40, 80], [120, 160, 0]]
    assert np.array_equal(pixels[:, :, 0], np.kron(pixels[::2, ::2, 0], np.ones((2, 2), np.uint8)))


def test_nearest_by_hand() -> None:
    found = nearest(np.array([[0.0], [1], [3], [-1]], np.float32), 2)
    assert found.places.tolist() == [[1, 3], [0, 2], [1, 0], [0, 1]]  # of equals the first
    assert found.distances.tolist() == [[1, 1], [1, 2], [2, 3], [1, 2]]
    assert nearest(np.zeros((1, 4), np.float32)).places.shape == (1, 0)


def test_nearest_is_that_of_a_slow_search() -> None:
    vectors = np.random.default_rng(0).standard_normal((600, 5)).astype(np.float32)
    found = nearest(vectors, 4)
    far = np.sqrt(np.square(vectors[:, None].astype(float) - vectors).sum(2))
    np.fill_diagonal(far, np.inf)
    assert np.array_equal(found.places, np.argsort(far, 1)[:, :4])
    assert np.allclose(found.distances, np.sort(far, 1)[:, :4])
