"""Colours to sRGB, and sRGB back into a profile that was kept.

Profiles go through littlecms with the perceptual intent, which for the matrix profiles of cameras and screens is
the relative colorimetric one; what sRGB cannot show is clipped. A profile counts only where its colour space fits
the samples: RGB or gray for gray ones (as R = G = B), RGB for colour, CMYK for CMYK. Others, and damaged ones, do
not: the samples are then taken for sRGB. A profile that agrees with sRGB to one level changes no pixel.
"""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from tokodec.media.picture import Bytes3D

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
_MODE_OF_SPACE: Mapping[str, str] = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}


def to_srgb(base: Image.Image, icc: bytes | None) -> Bytes3D:
    """sRGB pixels of samples of mode L, RGB, CMYK or LAB in the colours of profile ``icc``."""
    if base.mode == "LAB":
        return np.asarray(_transformed(base, _LAB, _SRGB, "RGB"))
    profile = _parse(icc)
    try:
        changed = None if profile is None else _from_profile(base, profile)
    except ImageCms.PyCMSError:
        changed = None
    if changed is not None:
        base = changed
    if base.mode == "L":
        return np.repeat(np.asarray(base)[..., None], 3, axis=2)
    return np.asarray(base.convert("RGB"))  # CMYK without a profile: R = (255 - C)(255 - K) / 255 and so on


def _from_profile(base: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image | None:
    """The samples in sRGB; None where the profile is for other samples or says nothing new."""
    space = _space(profile)
    if base.mode == "L" and space in ("RGB", "L"):
        return base.point(_gray_table(profile, space))
    if base.mode != space or (space == "RGB" and _is_srgb(profile)):
        return None
    return _transformed(base, profile, _SRGB, "RGB")


def worth_keeping(icc: bytes | None, gray: bool) -> bool:
    """Whether ``into_profile`` can bring a picture back into this profile: an RGB or, for gray ones, a gray one."""
    return into_profile(Image.new("L" if gray else "RGB", (1, 1)), icc) is not None


def into_profile(image: Image.Image, icc: bytes | None) -> Image.Image | None:
    """An sRGB picture of mode L or RGB in the colours of profile ``icc``; None where that cannot be."""
    profile = _parse(icc)
    if profile is None or _space(profile) != image.mode:
        return None
    try:
        if image.mode == "RGB" and _is_srgb(profile):
            return image
        return _transformed(image.convert("RGB"), _SRGB, profile, image.mode)
    except ImageCms.PyCMSError:
        return None  # profiles of scanners and the like lead one way only


def _parse(icc: bytes | None) -> ImageCms.ImageCmsProfile | None:
    if not isinstance(icc, bytes):
        return None
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(icc))
    except (OSError, ImageCms.PyCMSError):
        return None


def _space(profile: ImageCms.ImageCmsProfile) -> str:
    """The Pillow mode of a profile's colour space; empty for one that fits no samples, or is damaged."""
    core: Any = profile.profile
    try:
        return _MODE_OF_SPACE.get(core.xcolor_space.strip(), "")
    except UnicodeDecodeError:  # four bytes that should be ASCII
        return ""


def _transformed(image: Image.Image, source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile, mode: str) -> Image.Image:
    transform = ImageCms.buildTransform(source, target, image.mode, mode, ImageCms.Intent.PERCEPTUAL)
    changed = ImageCms.applyTransform(image, transform)
    assert changed is not None, "not in place"
    return changed


def _gray_table(profile: ImageCms.ImageCmsProfile, space: str) -> list[int]:
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None]).convert(space)
    table = np.asarray(_transformed(ramp, profile, _SRGB, "RGB"))[0, :, 1]
    near = bool((np.abs(table.astype(np.int16) - np.arange(256)) <= 1).all())
    return list(range(256)) if near else [int(v) for v in table]


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    axis = np.linspace(0, 255, 12).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(1, -1, 3)
    changed = np.asarray(_transformed(Image.fromarray(cube), profile, _SRGB, "RGB"))
    return bool((np.abs(changed.astype(np.int16) - cube) <= 1).all())
