"""How much of a face survives: embeddings of the same chip, cut by the landmarks of the original. Source: TokBench (arXiv 2505.18142).

Never to find out who somebody is: a face is compared with itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.errors import InputError
from tokodec.eval.judge import CLASSES, Definitions, Detail, Judge, Pixels8, Values, longer, mean, mean_of_classes, pixels, size_class
from tokodec.eval.labels import Face, Labels
from tokodec.perception import dlibface
from tokodec.perception.facechip import chip
from tokodec.perception.facefinder import FINDER, FaceFinder


@dataclass(frozen=True, kw_only=True)
class Embedder:
    """``make``: a network that takes chips (b, 3, side, side) in [0, 1]. ``strangers``: mean cosine of two people. ``same``: an L2."""

    make: Callable[[torch.device], nn.Module]
    identity: Callable[[], Mapping[str, Any]]
    side: int
    strangers: float
    same: float


EMBEDDERS: Mapping[str, Embedder] = {
    "dlib_resnet": Embedder(
        make=dlibface.face_network,
        identity=dlibface.WEIGHTS.identity,
        side=dlibface.CHIP,
        strangers=0.847,
        same=dlibface.SAME_PERSON,
    )
}
"""Embedders by name. A new one is a row. ``strangers`` of dlib's: over 4500 pairs of 100 pictures of LFW, where one person's have 0.952."""


@dataclass(frozen=True, kw_only=True)
class SeenFaces:
    """Of an original: faces with landmarks, and their embeddings."""

    faces: tuple[Face, ...]
    embeddings: Float[Tensor, "n d"]


class FaceJudge(Judge[SeenFaces]):
    """Distance and similarity of each face to itself, by relative size."""

    name = "faces"
    definitions: ClassVar[Definitions] = {
        "face_count": ("", "faces looked at"),
        "face_missing": ("", "pictures in whose original no face was found"),
        "face_l2": ("lower", "mean L2 distance of embeddings of decoded and original"),
        "face_same": ("higher", "share of faces that are less far from their original than the network's threshold of one person"),
        "face_cosine": ("higher", "F-Sim as TokBench has it: mean cosine of embeddings; strangers have 0.847 with dlib_resnet"),
        "face_sim": ("higher", "F-Sim: (cosine - that of strangers) / (1 - that of strangers), mean: 0 for strangers, 1 for the original"),
        "face_sim_retention": ("higher", "F-Sim divided by that of the original with itself, which is 1"),
        "face_cosine_tokbench": ("higher", "mean of the mean cosines of three classes of relative size"),
        **{f"face_sim_{size}": ("higher", f"F-Sim of {size} faces") for size in CLASSES},
    }

    def __init__(self, embedder: str = "dlib_resnet", device: str = "cpu", side: int | None = None) -> None:
        super().__init__()
        if embedder not in EMBEDDERS:
            raise InputError(f"there is no embedder {embedder!r}; there are {', '.join(EMBEDDERS)}")
        self._name, self._device, self._side = embedder, torch.device(device), side
        self._network = EMBEDDERS[embedder].make(self._device)
        self._finder: FaceFinder | None = None

    def identity(self) -> dict[str, Any]:
        finder = {f"landmarks_{key}": value for key, value in FINDER.identity().items()}
        return {"network": self._name, **EMBEDDERS[self._name].identity(), **finder, "device": self._device.type}

    def scene(self) -> dict[str, Any]:
        return {"side": self._side}

    def look(self, original: Pixels8, labels: Labels) -> SeenFaces:
        faces = tuple(face if face.landmarks else self._placed(original, face) for face in labels.faces)
        if labels.look:
            faces = tuple(Face(box=f.box, landmarks=f.landmarks) for f in self._found().largest(original))
        return SeenFaces(faces=faces, embeddings=self.embed(original, faces))

    @torch.inference_mode()
    def embed(self, picture: Pixels8, faces: Sequence[Face]) -> Float[Tensor, "n d"]:
        """Of each face of a picture, cut by its landmarks."""
        whole, side = pixels(picture, self._device), EMBEDDERS[self._name].side
        points = [torch.tensor(face.landmarks, dtype=torch.float64, device=self._device) for face in faces]
        # One at a time, so that an embedding does not depend on who else is in the picture.
        found = [self._network(chip(whole, p, side)[None])[0].cpu() for p in points]
        return torch.stack(found) if found else torch.empty(0, 1)

    def compare(self, seen: SeenFaces, decoded: Pixels8, labels: Labels) -> list[Detail]:
        if labels.look and not seen.faces:
            return [{"missing": True}]
        embeddings, extent = self.embed(decoded, seen.faces), max(decoded.shape[:2])
        return [self._face(*given, extent) for given in zip(seen.faces, seen.embeddings, embeddings, strict=True)]

    def _face(self, face: Face, first: Float[Tensor, " d"], second: Float[Tensor, " d"], extent: int) -> Detail:
        made = EMBEDDERS[self._name]
        distance = float((first - second).norm())
        cosine = float(torch.cosine_similarity(first, second, 0).clamp(max=1)) if distance else 1.0
        size = face.ratio if face.ratio is not None else longer(face.box) / extent
        return {
            "box": face.box,
            "missing": False,
            "size": size_class("faces", size, self._side or extent),
            "l2": distance,
            "cosine": cosine,
            "sim": (cosine - made.strangers) / (1 - made.strangers),
            "same": float(distance < made.same),
        }

    def _found(self) -> FaceFinder:
        self._finder = self._finder or FaceFinder()
        return self._finder

    def _placed(self, original: Pixels8, face: Face) -> Face:
        return replace(face, landmarks=self._found().within(original, face.box).landmarks)

    @staticmethod
    def pool(details: Sequence[Detail]) -> Values:
        if not details:
            return dict.fromkeys(FaceJudge.definitions)
        faces = [d for d in details if not d["missing"]]
        by_size = {size: [d for d in faces if d["size"] == size] for size in CLASSES}
        return {
            "face_count": float(len(faces)),
            "face_missing": float(len(details) - len(faces)),
            "face_l2": mean(faces, "l2"),
            "face_same": mean(faces, "same"),
            "face_cosine": mean(faces, "cosine"),
            "face_sim": mean(faces, "sim"),
            "face_sim_retention": mean(faces, "sim"),
            "face_cosine_tokbench": mean_of_classes([mean(of, "cosine") for of in by_size.values()]),
            **{f"face_sim_{size}": mean(of, "sim") for size, of in by_size.items()},
        }
