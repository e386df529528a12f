"""Between pictures and .tkd files: where picture, model and container meet.

    picture ── symbols ── write ── read again, same symbols? ── container ──> bytes
    bytes ── container ── model and fingerprint ── read ── CRC of the symbols ── synthesise ──> picture

Nothing that a file claims is believed before it is checked: sides against a limit, memory against what there is, the
payload against what its symbols must cost (in the reader of the codec), the symbols against their CRC.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image

from tokodec.api import Codec, DiscreteTokenizer, Symbols, Tokens
from tokodec.catalogue import zoo
from tokodec.codecs.prefix import PrefixCodec
from tokodec.codecs.variable_rate import VariableRateCodec
from tokodec.entropy.container import MAX_SIDE, Header, Kind, Segment, TkdFile, pack, salvage, unpack
from tokodec.entropy.tileplan import Box, Tiles, Tiling
from tokodec.errors import CorruptFile, FingerprintMismatch, InputError
from tokodec.machine import Machine, device_of, memory_told, need
from tokodec.media.alpha import decode_plane, encode_plane
from tokodec.media.picture import Picture
from tokodec.media.pixels import to_uint8, to_unit
from tokodec.media.read import ImageLike, from_image
from tokodec.media.write import to_pil
from tokodec.opened import Opened, opened
from tokodec.rate import Coded, Encode, Prefixes, Quality, Rate, TargetBpp
from tokodec.tiled import TileWriter

DEFAULT_MODEL = "fourstep_vr"
DEFAULT_TOKENIZER = "vq_f16"
DEFAULT_QUALITY = 0.5
FILE_KINDS = ("codec", "discrete")
"""Kinds of models that make .tkd files."""


class Choice(ABC):
    """Which codec decodes a file."""

    @abstractmethod
    def codec(self, header: Header, machine: Machine) -> Codec:
        """The codec for a file with this header. Raises FingerprintMismatch for one that another model made."""


class Named(Choice):
    """The one that the file names: one of the zoo, never a path or a place on a network."""

    def codec(self, header: Header, machine: Machine) -> Codec:
        info = zoo().get(header.model)
        if info is None or info.kind not in FILE_KINDS:
            raise CorruptFile(
                f"the file names {header.model}, which is no codec of this version: the file is damaged, or tokodec is too old"
            )
        return _checked(machine.codec(header.model), header)


@dataclass(frozen=True)
class Given(Choice):
    """This one, whatever name the file says, if it has the file's fingerprint."""

    model: Codec

    def codec(self, header: Header, machine: Machine) -> Codec:
        return _checked(self.model, header)


@dataclass(frozen=True)
class Forced(Choice):
    """This one, whatever the file says. The CRC of the symbols is compared all the same."""

    model: Codec

    def codec(self, header: Header, machine: Machine) -> Codec:
        return self.model


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is wanted of files in layers.

    ``tokens``: at most so many ids of each window; files without layers refuse it by name. ``unpack``: by default whole files, and those
    cut exactly behind a layer; with ``salvage`` what is before any damage.
    """

    tokens: int | None = None
    unpack: Callable[..., TkdFile] = unpack


ALL = Wanted()


def encode(picture: Picture, codec: Codec, rate: Rate, machine: Machine, tiling: Tiling | None = None) -> Coded:
    """A whole .tkd file of a picture, which is known to decode: both steps, :func:`code` and :func:`confirm`. Raises what they raise."""
    coded = code(picture, codec, rate, machine, tiling)
    confirm(coded, codec, machine)
    return coded


def code(picture: Picture, codec: Codec, rate: Rate, machine: Machine, tiling: Tiling | None = None) -> Coded:
    """A whole .tkd file, not yet confirmed. ``tiling`` says whether it has tiles, by default as :class:`Tiling` does by itself.

    Raises OutOfMemory, UnsupportedInput, and InputError for a quality that ``codec`` does not take, and for tiles if it has none.
    """
    tiles = tiles_of(picture, codec, tiling)
    device, pixels = device_of(machine.device), picture.width * picture.height
    if isinstance(codec, PrefixCodec):
        machine.check(picture.width, picture.height, codec.bytes_per_pixel, codec.stride)
        with memory_told(), torch.inference_mode():
            return rate.longest(_layered_attempts(picture, codec, device), pixels)
    if tiles is None or not isinstance(codec, VariableRateCodec):
        machine.check(picture.width, picture.height, codec.bytes_per_pixel, codec.stride)
        attempt = _whole_attempts(picture, codec, device)
    else:
        machine.check_tiled(tiles, codec)
        attempt = _tiled_attempts(picture, TileWriter(codec=codec, device=device, jobs=machine.jobs), tiles)
    with memory_told(), torch.inference_mode():
        return rate.reach(attempt, pixels)


def tiles_of(picture: Picture, codec: Codec, tiling: Tiling | None) -> Tiles | None:
    """The tiles of a picture, if it is to have any. Raises InputError for a codec that has none, if they are asked for."""
    if isinstance(codec, VariableRateCodec):
        return (tiling or Tiling()).tiles((picture.height, picture.width))
    if tiling is not None:
        raise InputError(f"{codec.name} codes pictures as a whole: it has no tiles")
    return None


def weight_of(picture: Picture, codec: Codec, machine: Machine, tiling: Tiling | None = None) -> int:
    """Bytes of memory that coding a picture takes."""
    tiles = tiles_of(picture, codec, tiling)
    if tiles is None or not isinstance(codec, VariableRateCodec):
        return need(picture.width, picture.height, codec.bytes_per_pixel, codec.stride)
    return machine.need_tiled(tiles, codec)


def confirm(coded: Coded, codec: Codec, machine: Machine) -> None:
    """The encoder's own check of what it wrote: no file leaves that would not decode. Raises CorruptFile."""
    with memory_told(), torch.inference_mode():
        try:
            opened(unpack(coded.data, max_pixels=MAX_SIDE**2), codec, machine).verify()
        except CorruptFile as error:
            raise CorruptFile(f"the file just made does not decode, so it was not kept: {error}") from error


def decode(data: bytes, choice: Choice, machine: Machine, region: Box | None = None, wanted: Wanted = ALL) -> Picture:
    """The picture in a .tkd file: exactly the size that went in, alpha and profile as they were; or a region of it.

    Both steps, :func:`open_file` and :func:`picture_of`. Raises what they raise.
    """
    return picture_of(open_file(data, choice, machine, wanted), region)


def open_file(data: bytes, choice: Choice, machine: Machine, wanted: Wanted = ALL) -> Opened:
    """A .tkd file that is ready to give pixels.

    Raises CorruptFile, FingerprintMismatch, OutOfMemory, ModelNotFound when the weights are not here, and InputError for a number of
    tokens that is none, or that is wanted of a file without layers.
    """
    file = wanted.unpack(data, max_pixels=machine.max_pixels)
    found = opened(file, choice.codec(file.header, machine), machine, wanted.tokens)
    with memory_told(), torch.inference_mode():
        found.prepare()
    return found


def picture_of(found: Opened, region: Box | None = None) -> Picture:
    """The picture in a file, or a region of it, which of a picture in tiles costs no more than the tiles that it sees.

    Raises OutOfMemory, InputError for a region outside, and CorruptFile for tiles and transparency that cannot be read.
    """
    file, size = found.file, found.size
    box = _inside(region, size)
    with memory_told(), torch.inference_mode():
        rgb = found.pixels(box)
        alpha = file.segment(Kind.ALPHA)
        return Picture(
            rgb=rgb,
            alpha=None if alpha is None else np.ascontiguousarray(decode_plane(alpha, size[1], size[0])[box.slices]),
            gray=file.header.gray,
            icc=file.segment(Kind.ICC),
        )


def _inside(region: Box | None, size: tuple[int, int]) -> Box:
    whole = Box(top=0, left=0, bottom=size[0], right=size[1])
    if region is None:
        return whole
    if region.cut(whole) != region or min(region.size) < 1:
        raise InputError(
            f"the region {region.right - region.left} x {region.bottom - region.top} at {region.left}, {region.top} "
            f"is not inside the picture of {size[1]} x {size[0]} pixels"
        )
    return region


def tokenize(picture: Picture, tokenizer: DiscreteTokenizer, machine: Machine, source: str = "") -> Tokens:
    """The tokens of a picture's colours. ``source``: SHA-256 of its file. Raises OutOfMemory and UnsupportedInput."""
    machine.check(picture.width, picture.height, tokenizer.bytes_per_pixel, tokenizer.stride)
    with memory_told(), torch.inference_mode():
        tokens = tokenizer.encode(to_unit(picture.rgb).to(device_of(machine.device)))
        return replace(tokens.to("cpu"), sources=(source,) if source else ())


def detokenize(tokens: Tokens, tokenizer: DiscreteTokenizer, machine: Machine) -> Picture:
    """The picture of one item's tokens. Raises FingerprintMismatch, OutOfMemory, and CorruptFile for ids that cannot be its."""
    machine.check(tokens.size[1], tokens.size[0], tokenizer.bytes_per_pixel, tokenizer.stride)
    with memory_told(), torch.inference_mode():
        try:
            pixels = tokenizer.decode(tokens.to(device_of(machine.device)))
        except InputError as error:
            raise CorruptFile(str(error)) from None
        return Picture(rgb=to_uint8(pixels)[0])


def compress(image: ImageLike, model: str | Codec | None = None, quality: float | None = None, target_bpp: float | None = None) -> bytes:
    """The bytes of a .tkd file.

    ``image``: a path, bytes of a picture file, a PIL picture, a uint8 array (h, w, c) or a float tensor (c, h, w) in [0, 1].
    ``model``: a name or a loaded codec; the default is DEFAULT_MODEL. ``quality`` in [0, 1], by default DEFAULT_QUALITY;
    ``target_bpp`` instead is met within 3 % by the whole file, or as nearly as the model can; by rows of ids from coarse to fine with the
    longest prefix that fits. Raises TokodecError.
    """
    if quality is not None and target_bpp is not None:
        raise InputError("give a quality or a target rate, not both")
    machine = Machine()
    codec = model if isinstance(model, Codec) else machine.codec(model or DEFAULT_MODEL)
    asked = None if quality is None else Quality(quality)
    rate = rate_for(codec, asked if target_bpp is None else TargetBpp(target_bpp))
    return encode(from_image(image), codec, rate, machine).data


def decompress(
    data: bytes, region: tuple[int, int, int, int] | None = None, *, tokens: int | None = None, partial: bool = False
) -> Image.Image:
    """The picture in the bytes of a .tkd file, or a ``region`` of it: x, y, width and height in pixels.

    Of a large picture, which is in tiles, only those around the region are decoded. Of a file in layers, ``tokens`` decodes at most so
    many ids of each window, and ``partial`` takes a file that is damaged or cut anywhere, up to its last whole layer; one that is cut
    exactly behind a layer decodes in any case. Raises TokodecError: CorruptFile, FingerprintMismatch, and InputError for a region that is
    not inside and for tokens of a file without layers.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InputError(f"decompress takes the bytes of a .tkd file, not a {type(data).__name__}; for a path: Path(...).read_bytes()")
    box = None
    if region is not None:
        x, y, width, height = region
        box = Box(top=y, left=x, bottom=y + height, right=x + width)
    wanted = Wanted(tokens=tokens, unpack=salvage if partial else unpack)
    return to_pil(decode(bytes(data), Named(), Machine(), box, wanted))


def rate_for(codec: Codec, asked: Rate | None) -> Rate:
    """What is asked, or a codec's default. Raises InputError when something is asked of a codec that has one rate only."""
    info = zoo().get(codec.name)  # other packages' models are not in it; they have one rate
    variable = info is not None and info.variable_rate
    if asked is None:
        return Quality(DEFAULT_QUALITY if variable else None)
    if not variable:
        raise InputError(f"{codec.name} has one rate: it takes no quality and no target")
    return asked


def _whole_attempts(picture: Picture, codec: Codec, device: torch.device) -> Encode:
    """Whole files of one picture at any quality."""
    x = to_unit(picture.rgb).to(device)
    extras = _extras(picture)

    def attempt(quality: float | None) -> bytes:
        symbols = codec.symbols(x, quality)
        payload = Segment(kind=Kind.PAYLOAD, data=codec.write(symbols)[0])
        return _file(picture, codec, symbols.crc32()[0], [payload], extras)

    return attempt


def _tiled_attempts(picture: Picture, writer: TileWriter, tiles: Tiles) -> Encode:
    """The same in tiles."""
    extras = _extras(picture)

    def attempt(quality: float | None) -> bytes:
        plan, payloads = writer.write(picture.rgb, tiles, quality)
        segments = [Segment(kind=Kind.TILES, data=plan.pack()), *(Segment(kind=Kind.PAYLOAD, data=p) for p in payloads)]
        return _file(picture, writer.codec, plan.crc32, segments, extras)

    return attempt


@dataclass(frozen=True, kw_only=True)
class _LayeredFiles(Prefixes):
    """Files in layers of one picture, whose ``symbols`` are all its ids."""

    picture: Picture
    codec: PrefixCodec
    symbols: Symbols
    extras: Sequence[Segment]
    most: int

    def kept(self, quality: float | None) -> int:
        return self.codec.kept(quality)

    def file(self, tokens: int) -> bytes:
        plan, payloads = self.codec.layers(self.codec.shortened(self.symbols, tokens))
        # Whatever stands before the layers is left when a file is cut behind one of them.
        first = [*self.extras, Segment(kind=Kind.LAYERS, data=plan.pack())]
        segments = [*first, *(Segment(kind=Kind.PAYLOAD, data=p) for p in payloads)]
        return _file(self.picture, self.codec, plan.layers[-1].crc, segments, ())


def _layered_attempts(picture: Picture, codec: PrefixCodec, device: torch.device) -> Prefixes:
    """The same in layers, of any number of ids; the networks work once."""
    symbols = codec.symbols(to_unit(picture.rgb).to(device))
    return _LayeredFiles(picture=picture, codec=codec, symbols=symbols, extras=_extras(picture), most=codec.row)


def _file(picture: Picture, codec: Codec, symbol_crc: int, coded: Sequence[Segment], extras: Sequence[Segment]) -> bytes:
    """Segments stand in the order that docs/format.md asks writers for."""
    header = Header(
        model=codec.name,
        fingerprint=codec.fingerprint,
        width=picture.width,
        height=picture.height,
        gray=picture.gray,
        symbol_crc=symbol_crc,
    )
    first = [s for s in extras if s.kind == Kind.ICC]
    last = [s for s in extras if s.kind != Kind.ICC]
    return pack(TkdFile(header=header, segments=(*first, *coded, *last)))


def _extras(picture: Picture) -> list[Segment]:
    extras: list[Segment] = []
    if picture.icc is not None:
        extras.append(Segment(kind=Kind.ICC, data=picture.icc))
    if picture.alpha is not None:
        extras.append(Segment(kind=Kind.ALPHA, data=encode_plane(picture.alpha)))
    return extras


def _checked(codec: Codec, header: Header) -> Codec:
    if codec.fingerprint != header.fingerprint:
        raise FingerprintMismatch(
            f"the file was made with {header.model} of fingerprint {header.fingerprint.hex()}, but {codec.name} here has "
            f"{codec.fingerprint.hex()}: use the version that made it (--model), or --force-model NAME to try another all the same"
        )
    return codec
