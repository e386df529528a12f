"""dlib's face embedder in torch: a chip of 150 x 150 to 128 numbers, close for pictures of one person.

::

    chip -> 7x7 /2 -> max 3 /2 -> 3 blocks of 32 -> 64/2 3 -> 128/2 2 -> 256/2 2 -> 256/2 -> mean -> 128

A block is two 3x3 convolutions beside a way around; where it halves, the way around is a mean of 2x2, filled up with zeros. Two
embeddings less than 0.6 apart (L2) are meant to be of one person. Weights and training: Davis King's
``dlib_face_recognition_resnet_model_v1.dat`` (public domain, CC0), as the package face-recognition-models carries it; part of its
training faces came from research sets (VGG-Face, FaceScrub), identities of LFW were left out.
"""

from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.errors import CorruptFile
from tokodec.perception.dlibfile import Layer, read_dlib
from tokodec.perception.wheel import Packed

WEIGHTS = Packed(
    module="face_recognition_models",
    file="models/dlib_face_recognition_resnet_model_v1.dat",
    sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    package="face-recognition-models",
    extra="faces",
)
SAME_PERSON = 0.6
"""The distance below which the network was trained to bring one person's pictures."""
CHIP = 150
_MEAN = (122.782, 117.001, 104.298)
_HALVING = (False, False, False, True, False, False, False, True, False, False, True, False, False, True)
"""Of each block."""


class Block(nn.Module):
    """Two convolutions beside a way around."""

    def __init__(self, first: nn.Conv2d, second: nn.Conv2d) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        y = self.second(F.relu(self.first(x)))
        around = F.avg_pool2d(x, 2) if self.first.stride[0] == 2 else x
        return F.relu(_sum(y, around))


class FaceNetwork(nn.Module):
    """Chips in [0, 1] to embeddings. Raises CorruptFile for layers of another network."""

    shift: Tensor

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        kinds = [layer.kind for layer in layers]
        if kinds != ["con_4", "affine_"] * (1 + 2 * len(_HALVING)) + ["fc_2"]:
            raise CorruptFile(f"a network of {len(layers)} layers is not the face embedder")
        convolutions = _convolutions(layers[:-1])
        self.stem = convolutions[0]
        self.blocks = nn.Sequential(*map(Block, convolutions[1::2], convolutions[2::2]))
        if tuple(block.first.stride[0] == 2 for block in self.blocks if isinstance(block, Block)) != _HALVING:
            raise CorruptFile("the blocks of that network do not halve where the face embedder's do")
        self.project = nn.Linear(convolutions[-1].out_channels, 128, bias=False)
        self.project.weight.data = layers[-1].values.reshape(-1, 128).T.contiguous()
        self.register_buffer("shift", torch.tensor(_MEAN)[:, None, None])

    def forward(self, chips: Float[Tensor, "b 3 150 150"]) -> Float[Tensor, "b 128"]:
        x = F.relu(self.stem((chips * 255 - self.shift) / 256))
        return self.project(self.blocks(F.max_pool2d(x, 3, 2)).mean((2, 3)))


def _sum(a: Float[Tensor, "b c h w"], b: Float[Tensor, "b c2 h2 w2"]) -> Float[Tensor, "b c3 h3 w3"]:
    """Each filled up with zeros, at the end of every axis, to what the other has more."""
    sides = [max(p, q) for p, q in zip(a.shape[1:], b.shape[1:], strict=True)]
    a, b = (F.pad(x, [n for i in (2, 1, 0) for n in (0, sides[i] - x.shape[i + 1])]) for x in (a, b))
    return a + b


def _convolutions(layers: Sequence[Layer]) -> list[nn.Conv2d]:
    """Each convolution with the scale and shift that follow it."""
    found: list[nn.Conv2d] = []
    for layer, affine in zip(layers[::2], layers[1::2], strict=True):
        count, rows, columns, step, _, padding, _ = layer.shape
        weights, bias = layer.values[:-count].reshape(count, -1, rows, columns), layer.values[-count:]
        scale, shift = affine.values.chunk(2)
        convolution = nn.Conv2d(weights.shape[1], count, (rows, columns), step, padding)
        convolution.weight.data = weights * scale[:, None, None, None]
        assert convolution.bias is not None
        convolution.bias.data = bias * scale + shift
        found.append(convolution)
    return found


@cache
def face_network(device: torch.device) -> FaceNetwork:
    """The embedder, frozen. Raises MissingExtra without its package, InputError for other weights."""
    return FaceNetwork(read_dlib(WEIGHTS.path())).to(device).eval().requires_grad_(requires_grad=False)
