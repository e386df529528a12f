"""A file, bytes, a PIL picture, an array or a tensor as a Picture. The rules for every kind are in docs/pictures.md.

bytes -> format -> header: size, frames -> samples -> upright -> sRGB -> alpha rule -> Picture
"""

import io
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin

from tokodec.errors import InputError, NoInput, UnsupportedInput
from tokodec.media.alpha import AlphaRule, KeepAlpha
from tokodec.media.colour import to_srgb, worth_keeping
from tokodec.media.deep import deep_gray, deep_samples, is_deep
from tokodec.media.foreign import foreign
from tokodec.media.formats import FORMATS, HEAD_BYTES, Format, is_video, sniff
from tokodec.media.limits import DEFAULT_MAX_PIXELS, check_size
from tokodec.media.picture import Picture
from tokodec.media.samples import Samples, samples_of

if TYPE_CHECKING:
    from torch import Tensor

ImageLike: TypeAlias = "str | Path | bytes | BinaryIO | Image.Image | NDArray[np.uint8] | Tensor"
"""What ``from_image`` takes."""

_ORIENTATION = 0x0112
_SUBFILE_TYPE = 254
_REDUCED_OR_MASK = 1 | 4

_UPRIGHT: Mapping[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}
"""What each EXIF orientation but 1 needs."""

_STILL_ONLY = 'extract one first, for example with "ffmpeg -i IN -frames:v 1 OUT.png"; clips are for the extra tokodec[video]'


def read_picture(
    source: Path | bytes | BinaryIO,
    *,
    alpha: AlphaRule = KeepAlpha(),  # noqa: B008 - frozen, without state
    keep_icc: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Picture:
    """The picture in a file: upright, sRGB, 8 bits.

    ``keep_icc`` keeps the profile beside the pixels where a picture can be brought back into it. Raises NoInput for a
    path where there is no file, UnsupportedInput for what is no picture, damaged, animated or larger than
    ``max_pixels`` (said by its header, before it is decoded), MissingExtra for HEIC and JPEG XL without their extra.
    """
    with _opened(source) as (stream, where), foreign(where):
        return alpha.apply(_read(stream, keep_icc, max_pixels))


def from_image(
    image: ImageLike,
    *,
    alpha: AlphaRule = KeepAlpha(),  # noqa: B008 - frozen, without state
    keep_icc: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Picture:
    """The same for what Python code holds.

    A path, bytes, a binary stream; a PIL picture; a uint8 array (h, w) or (h, w, c); a float tensor (c, h, w) in
    [0, 1]. Channels: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha. Raises InputError for other types, shapes and
    ranges, and what read_picture raises.
    """
    if isinstance(image, str):
        return read_picture(Path(image), alpha=alpha, keep_icc=keep_icc, max_pixels=max_pixels)
    if isinstance(image, Path | bytes | io.IOBase):
        return read_picture(image, alpha=alpha, keep_icc=keep_icc, max_pixels=max_pixels)  # type: ignore[arg-type]
    if isinstance(image, Image.Image):
        with foreign(""):
            return alpha.apply(_from_pil(image, keep_icc, max_pixels))
    values = image if isinstance(image, np.ndarray) else _tensor_values(image, max_pixels)
    return alpha.apply(_from_array(values, max_pixels))


@contextmanager
def _opened(source: Path | bytes | BinaryIO) -> Generator[tuple[BinaryIO, str]]:
    """A stream that can seek, and how messages about it start."""
    if isinstance(source, bytes):
        yield io.BytesIO(source), ""
    elif isinstance(source, Path):
        with _open_path(source) as stream:
            yield _seekable(stream), f"{source}: "
    else:
        yield _seekable(source), ""


def _open_path(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise NoInput(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise UnsupportedInput(f"{path}: cannot read: {getattr(error, 'strerror', None) or error}") from error


def _seekable(stream: BinaryIO) -> BinaryIO:
    return stream if stream.seekable() else io.BytesIO(stream.read())


def _read(stream: BinaryIO, keep_icc: bool, max_pixels: int) -> Picture:
    kind = _kind(stream)

    def reopen() -> ImageFile.ImageFile:
        stream.seek(0)
        return kind.open(stream)

    _check_shape(kind, stream, max_pixels)
    image = reopen()
    check_size(*image.size, max_pixels)
    if _has_several(image):
        raise UnsupportedInput(f"an animation or several pages ({kind.name}): {_STILL_ONLY}")
    if is_deep(image):
        return _finished(image, deep_samples(image, reopen), keep_icc)
    image.load()
    check_size(*image.size, max_pixels)  # the coded size of a HEIC may differ from the one in its header
    return _finished(image, _samples(image), keep_icc)


def _kind(stream: BinaryIO) -> Format:
    stream.seek(0)
    head = stream.read(HEAD_BYTES)
    kind = sniff(head)
    if kind is not None:
        return kind
    if not head:
        raise UnsupportedInput("an empty file")
    if is_video(head):
        raise UnsupportedInput(f"a video: {_STILL_ONLY}")
    raise UnsupportedInput(f"not a picture that can be read here ({', '.join(f.name for f in FORMATS)})")


def _check_shape(kind: Format, stream: BinaryIO, max_pixels: int) -> None:
    if kind.shape is None:
        return
    stream.seek(0)
    shape = kind.shape(stream)
    check_size(shape.width, shape.height, max_pixels)
    if shape.animated:
        raise UnsupportedInput(f"an animation ({kind.name}): {_STILL_ONLY}")


def _has_several(image: ImageFile.ImageFile) -> bool:
    """Whether a file just opened holds more than one picture. Smaller copies and masks in a TIFF do not count."""
    if not getattr(image, "is_animated", False):
        return False
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return True
    pages = range(1, image.n_frames)
    several = any(not _subfile_type(image, page) & _REDUCED_OR_MASK for page in pages)
    image.seek(0)
    return several


def _subfile_type(image: TiffImagePlugin.TiffImageFile, page: int) -> int:
    image.seek(page)
    return int(image.tag_v2.get(_SUBFILE_TYPE, 0))


def _from_pil(image: Image.Image, keep_icc: bool, max_pixels: int) -> Picture:
    check_size(*image.size, max_pixels)
    if getattr(image, "is_animated", False) and image.format != "MPO":  # an MPO is a JPEG with more behind it
        raise UnsupportedInput("a PIL picture with several frames: pass image.copy() of the one you mean")
    image.load()
    return _finished(image, _samples(image), keep_icc)


def _samples(image: Image.Image) -> Samples:
    return deep_gray(image) if image.mode.startswith("I;16") else samples_of(image)


def _finished(image: Image.Image, samples: Samples, keep_icc: bool) -> Picture:
    upright = _UPRIGHT.get(_orientation(image), np.asarray)
    icc, gray = image.info.get("icc_profile"), samples.base.mode == "L"
    return Picture(
        rgb=np.ascontiguousarray(upright(to_srgb(samples.base, icc))),
        alpha=None if samples.alpha is None else np.ascontiguousarray(upright(samples.alpha)),
        gray=gray,
        icc=icc if keep_icc and worth_keeping(icc, gray) else None,
    )


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation that is still to be applied."""
    if image.format == "JXL" and not getattr(image, "jpeg", False):
        return 1  # its decoder has applied the codestream's own, which wins over EXIF
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - damaged EXIF is no reason to refuse the pixels
        return 1


def _from_array(values: NDArray[Any], max_pixels: int) -> Picture:
    if values.dtype != np.uint8:
        raise InputError(f"an array of {values.dtype}: give uint8 (h, w, c), or a float tensor (c, h, w) in [0, 1]")
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or not 1 <= values.shape[2] <= 4:
        raise InputError(f"an array of shape {values.shape}: give (h, w) or (h, w, c) with 1 to 4 channels")
    height, width, channels = values.shape
    check_size(width, height, max_pixels)
    gray = channels < 3
    return Picture(
        rgb=np.repeat(values[..., :1], 3, axis=2) if gray else np.ascontiguousarray(values[..., :3]),
        alpha=np.ascontiguousarray(values[..., -1]) if channels in (2, 4) else None,
        gray=gray,
    )


def _tensor_values(image: object, max_pixels: int) -> NDArray[np.uint8]:
    """uint8 (h, w, c) of a float tensor (c, h, w) in [0, 1]."""
    from torch import Tensor  # noqa: PLC0415 - reading files needs no torch

    from tokodec.media.pixels import to_uint8  # noqa: PLC0415

    if not isinstance(image, Tensor):
        raise InputError(f"a {type(image).__name__} is no picture: give a path, PIL picture, uint8 array or float tensor")
    if image.ndim != 3 or not image.is_floating_point() or not 1 <= image.shape[0] <= 4:
        raise InputError(f"a tensor {tuple(image.shape)} of {image.dtype}: give floats (c, h, w) with 1 to 4 channels")
    check_size(image.shape[2], image.shape[1], max_pixels)
    low, high = image.detach().aminmax()
    if not (low >= 0 and high <= 1):  # NaN as well
        raise InputError(f"a tensor with values {float(low):g} to {float(high):g}: give [0, 1]")
    return to_uint8(image[None])[0]
