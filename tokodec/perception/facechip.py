"""Cuts faces out of pictures, upright and of one size, by five points: as dlib does it for its embedder, differentiable.

Points: outer and inner corner of the eye on the right side of the picture, outer and inner corner of that on the left, and the base
of the nose, where dlib's predictor of five landmarks puts them; or the centres of the eyes alone, left one first.
Source: dlib 19/20, ``image_transforms/interpolation.h``
(``get_face_chip_details``, ``extract_image_chips``) and ``image_pyramid.h``.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_FACE = ((0.8595674595992, 0.2134981538014), (0.6460604764104, 0.2289674387677), (0.1205750620789, 0.2137274526848),
         (0.3340850613712, 0.2290642403242), (0.4901123135679, 0.6277975316475))  # fmt: skip
"""Where the points lie in a face of side 1."""
_EYES = tuple(tuple(sum(axis) / 2 for axis in zip(*corners, strict=True)) for corners in (_FACE[2:4], _FACE[:2]))
"""The centres of the eyes: that on the left side of the picture first."""
_AROUND = 0.25
_BLUR = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
_HALVED = (1.25, 0.75)
"""dlib's pyramid moves places by this much; so the network knows them."""


def chip(picture: Float[Tensor, "3 h w"], points: Float[Tensor, "n 2"], side: int = 150) -> Float[Tensor, "3 side side"]:
    """The face with a quarter of its size around it; black where the picture ends. A face much larger than that is halved first."""
    face = points.new_tensor({5: _FACE, 2: _EYES}[len(points)])
    at, scale, turn = _fit((face + _AROUND) / (1 + 2 * _AROUND) * side, points, side)
    extent = side * scale - 1
    while extent / 2 + 1 > side and min(picture.shape[1:]) > 8:
        picture, at, extent = _half(picture), at / 2 - at.new_tensor(_HALVED), extent / 2
    along = (torch.arange(side, device=points.device, dtype=points.dtype) / (side - 1) - 0.5) * extent
    y, x = torch.meshgrid(along, along, indexing="ij")
    places = torch.stack([at[0] + turn[0] * x - turn[1] * y, at[1] + turn[1] * x + turn[0] * y], -1)
    size = places.new_tensor([picture.shape[2], picture.shape[1]])
    grid = (2 * places + 1) / size - 1
    return F.grid_sample(picture[None], grid[None].to(picture.dtype), mode="bilinear", align_corners=False)[0]


def _fit(
    from_points: Float[Tensor, "n 2"], to_points: Float[Tensor, "n 2"], side: int
) -> tuple[Float[Tensor, "2"], float, Float[Tensor, "2"]]:
    """Where the centre of the chip lies, pixels of the picture a pixel of the chip, and cosine and sine of the turn: least squares."""
    a, b = (torch.view_as_complex(p.contiguous()) for p in (from_points, to_points))
    da, db = a - a.mean(), b - b.mean()
    m = (da.conj() * db).sum() / (da.abs() ** 2).sum()
    centre = m * (complex(side / 2, side / 2) - a.mean()) + b.mean()
    return torch.view_as_real(centre), float(m.abs()), torch.view_as_real(m / m.abs())


def _half(picture: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h2 w2"]:
    line = picture.new_tensor(_BLUR)
    across = F.conv2d(picture[:, None], line.view(1, 1, 1, 5), stride=(1, 2))
    return F.conv2d(across, line.view(1, 1, 5, 1), stride=(2, 1))[:, 0]
