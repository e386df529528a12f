"""PP-OCRv6 small, a recogniser of lines: crops of text to characters, alone, without a detector.

::

    box, a tenth of its height around it -> 48 rows, as wide as it is -> network -> (places, 18710) -> CTC -> text

The weights are PaddlePaddle's (Apache-2.0), as the package rapidocr carries them; our torch reads the graph, so that the same network
scores on any device and is a loss. Preparation as rapidocr 3.10 does it: BGR, bilinear, ``2 x - 1``, zeros on the right up to the
widest of a batch of six after sorting by shape, at least 320; in floats, where rapidocr rounds the resized crop to 8 bits.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.errors import InputError
from tokodec.perception.box import Box
from tokodec.perception.fuse import fused
from tokodec.perception.graph import GraphNetwork
from tokodec.perception.onnxfile import Graph, read_onnx
from tokodec.perception.wheel import Packed

WEIGHTS = Packed(
    module="rapidocr",
    file="models/PP-OCRv6_rec_small.onnx",
    sha256="6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
    package="rapidocr",
    extra="eval",
)
BATCH, MARGIN = 6, 0.1
_HEIGHT, _LEAST_WIDTH = 48, 320
_TOGETHER = 4
"""Batches in one call; it changes how fast it is, not what is read."""
_PLACES = 64
_FEATURES = "p2o.pd_op.transpose.8.0"
"""What the last layer sees: a vector for each place."""


class PPOCR(nn.Module):
    """The network with its alphabet: class 0 is the blank of CTC, the last is the space."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        graph = fused(graph)
        self.network, self.characters = GraphNetwork(graph), ("", *graph.notes["character"].splitlines(), " ")
        _, *self._last = next(node.inputs for node in graph.nodes if node.kind == "Linear" and node.inputs[0] == _FEATURES)
        self.alphabet = frozenset(self.characters[1:])
        self._index = {character: i for i, character in enumerate(self.characters) if i}

    def forward(self, crops: Float[Tensor, "b 3 48 w"]) -> Float[Tensor, "b t classes"]:
        """Probabilities at each of ``w / 8`` places, of what :meth:`prepared` gives."""
        return self.network(crops)

    def features(self, crops: Float[Tensor, "b 3 48 w"]) -> Float[Tensor, "b t c"]:
        """What the last layer sees, of what :meth:`prepared` gives."""
        return self.network.values(crops, (_FEATURES,))[0]

    def spelt(self, text: str) -> list[int] | None:
        """Classes of a text, or None when it has characters that are not in the alphabet."""
        return [self._index[c] for c in text] if self.alphabet.issuperset(text) else None

    @torch.inference_mode()
    def read(self, picture: Float[Tensor, "3 h w"], boxes: Sequence[Box]) -> list[str]:
        """The text in each box of a picture in [0, 1]. Raises InputError for a box that is not in it."""
        crops = [cut(picture, box) for box in boxes]
        texts = [""] * len(crops)
        for chosen in _calls(crops):
            batch = torch.cat([prepared([crops[i] for i in part]) for part in chosen])
            ids = self.likeliest(self.features(batch.contiguous(memory_format=torch.channels_last)))
            for i, text in zip((i for part in chosen for i in part), self.written(ids), strict=True):
                texts[i] = text
        return texts

    def likeliest(self, features: Float[Tensor, "b t c"]) -> Int[Tensor, "b t"]:
        """The likeliest class at each place; few places at a time, since all classes of all places do not fit into a cache."""
        weight, bias = map(self.network.constant, self._last)
        rows = features.flatten(0, 1).split(_PLACES)
        return torch.cat([F.linear(row, weight, bias).argmax(-1) for row in rows]).view(features.shape[:2])

    def written(self, ids: Int[Tensor, "b t"]) -> list[str]:
        """Repeated classes once, without blanks."""
        new = torch.ones_like(ids, dtype=torch.bool)
        new[:, 1:] = ids[:, 1:] != ids[:, :-1]
        kept = new & (ids != 0)
        return ["".join(map(self.characters.__getitem__, row[mask].tolist())) for row, mask in zip(ids.cpu(), kept.cpu(), strict=True)]


@cache
def ppocr(device: torch.device) -> PPOCR:
    """The recogniser, frozen. Raises MissingExtra without rapidocr, InputError for a rapidocr with other weights."""
    graph = read_onnx(WEIGHTS.path())
    return PPOCR(graph).to(device).eval().requires_grad_(requires_grad=False)


def cut(picture: Float[Tensor, "3 h w"], box: Box) -> Float[Tensor, "3 h2 w2"]:
    """The box with its margin, as far as the picture reaches. Raises InputError for a box that is not in the picture."""
    height, width = picture.shape[1:]
    left, top, right, bottom = math.floor(box[0]), math.floor(box[1]), math.ceil(box[2]), math.ceil(box[3])
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise InputError(f"the box {list(box)} is not inside of a picture of {width}x{height}: [left, top, right, bottom] in pixels")
    margin = max(1, round(MARGIN * (bottom - top)))
    return picture[:, max(top - margin, 0) : bottom + margin, max(left - margin, 0) : right + margin]


def batches(crops: Sequence[Tensor]) -> list[list[int]]:
    """Which crops go together: sorted by shape, six at a time, so that who is beside whom depends on the boxes of the picture alone."""
    order = sorted(range(len(crops)), key=lambda i: (crops[i].shape[2] / crops[i].shape[1], i))
    return [order[i : i + BATCH] for i in range(0, len(order), BATCH)]


def _calls(crops: Sequence[Tensor]) -> Iterator[list[list[int]]]:
    """Batches that come out equally wide go through the network together: PyTorch's fast convolutions of 1x1 begin at 16 pictures."""
    for _, group in groupby(batches(crops), key=lambda chosen: _width([crops[i] for i in chosen])):
        same = list(group)
        yield from (same[i : i + _TOGETHER] for i in range(0, len(same), _TOGETHER))


def _width(crops: Sequence[Tensor]) -> int:
    return max(int(_HEIGHT * max(c.shape[2] / c.shape[1] for c in crops)), _LEAST_WIDTH)


def prepared(crops: Sequence[Float[Tensor, "3 _ _"]]) -> Float[Tensor, "b 3 48 w2"]:
    """Crops in [0, 1] as the network takes them, as wide as the widest; differentiable."""
    widest = _width(crops)
    return torch.stack([_filled(crop, widest) for crop in crops])


def _filled(crop: Float[Tensor, "3 h w"], widest: int) -> Float[Tensor, "3 48 w2"]:
    width = min(math.ceil(_HEIGHT * crop.shape[2] / crop.shape[1]), widest)
    resized = F.interpolate(crop.flip(0)[None], (_HEIGHT, width), mode="bilinear")[0]
    return F.pad(2 * resized - 1, (0, widest - width))
