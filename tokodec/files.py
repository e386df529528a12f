"""Between pictures and .tkd files: where picture, model and container meet.

    picture ── symbols ── write ── read again, same symbols? ── container ──> bytes
    bytes ── container ── model and fingerprint ── read ── CRC of the symbols ── synthesise ──> picture

Nothing that a file claims is believed before it is checked: sides against a limit, memory against what there is, the
payload against what its symbols must cost (in the reader of the codec), the symbols against their CRC.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import torch
from PIL import Image

from tokodec.api import Codec, DiscreteTokenizer, Symbols, Tokens
from tokodec.catalogue import resolve, zoo
from tokodec.codecs.token import TokenCodec
from tokodec.codecs.variable_rate import VariableRateCodec
from tokodec.entropy.container import DEFAULT_MAX_PIXELS, MAX_SIDE, Header, Kind, Segment, TkdFile, pack, unpack
from tokodec.entropy.tileplan import Box, TilePlan, Tiles, Tiling
from tokodec.errors import CorruptFile, FingerprintMismatch, InputError, OutOfMemory
from tokodec.media.alpha import decode_plane, encode_plane
from tokodec.media.limits import check_size
from tokodec.media.picture import Picture
from tokodec.media.pixels import to_uint8, to_unit
from tokodec.media.read import ImageLike, from_image
from tokodec.media.write import to_pil
from tokodec.pretrained import store
from tokodec.rate import Coded, Encode, Quality, Rate, TargetBpp
from tokodec.tiled import Rgb, TileReader, TileWriter

DEFAULT_MODEL = "hyperprior_vr"
DEFAULT_TOKENIZER = "vq_f16"
DEFAULT_QUALITY = 0.5
_TILED_BYTES = 12
"""Of each pixel of a picture in tiles: the picture itself, and what its file formats take; measured at 48 megapixels, rounded up."""
FILE_KINDS = ("codec", "discrete")
"""Kinds of models that make .tkd files."""


def physical_memory() -> int:
    """Bytes of memory that the machine has; where it does not say, more than any has."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # AttributeError: Windows
        return 2**60


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where models run, how, and what a picture may take.

    ``device``: as torch names it, or ``auto``. ``numerics``: ``stable`` or ``fast``. ``max_memory`` in bytes. ``jobs``: tiles of a
    large picture that are coded at a time.
    """

    device: str = "cpu"
    numerics: str = "stable"
    max_pixels: int = DEFAULT_MAX_PIXELS
    max_memory: int = field(default_factory=physical_memory)
    jobs: int = 1

    def codec(self, name: str) -> Codec:
        """The codec of that name; of a discrete tokenizer, the one that writes its ids. Names of the zoo are loaded once a process.

        Raises ModelNotFound, WeightsMismatch, and InputError for a model that makes no files and for an unknown device.
        """
        if ":" in name or "/" in name:
            return _load(name, device_of(self.device), self.numerics)
        return _kept(resolve(name), device_of(self.device), self.numerics)

    def tokenizer(self, name: str) -> DiscreteTokenizer:
        """The discrete tokenizer of that name. Raises what :meth:`codec` raises, and InputError for another kind of model."""
        codec = self.codec(name)
        if not isinstance(codec, TokenCodec):
            raise InputError(f"{name} is no discrete tokenizer: see tokodec models list --kind discrete")
        return codec.tokenizer

    def check(self, width: int, height: int, bytes_per_pixel: int, stride: int = 1) -> None:
        """For a model that fills pictures up to multiples of ``stride``.

        Raises UnsupportedInput for more pixels than allowed and OutOfMemory for more than fit, both before any is allocated.
        """
        check_size(width, height, self.max_pixels)
        filled = [-(-side // stride) * stride for side in (width, height)]
        self._check(width, height, filled[0] * filled[1] * bytes_per_pixel)

    def check_tiled(self, tiles: Tiles, codec: VariableRateCodec) -> None:
        """The same for a picture in tiles: few of them are in memory at a time."""
        check_size(tiles.width, tiles.height, self.max_pixels)
        window = min(tiles.side, max(tiles.width, tiles.height)) + 2 * max(codec.reach) + codec.stride
        area = tiles.width * tiles.height
        self._check(tiles.width, tiles.height, area * _TILED_BYTES + self.jobs * window * window * codec.bytes_per_pixel)

    def _check(self, width: int, height: int, needed: int) -> None:
        if needed > self.max_memory:
            limit = self.max_memory / 1e9
            raise OutOfMemory(
                f"{width} x {height} pixels need about {needed / 1e9:.1f} GB of memory; the limit is {limit:.1f} GB (max_memory)"
            )


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


def encode(picture: Picture, codec: Codec, rate: Rate, machine: Machine, tiling: Tiling | None = None) -> Coded:
    """A whole .tkd file of a picture; ``tiling`` says whether it is cut into tiles, by default as :class:`Tiling` does by itself.

    Raises OutOfMemory, UnsupportedInput, and InputError for a quality that ``codec`` does not take, and for tiles if it has none.
    """
    if tiling is not None and not isinstance(codec, VariableRateCodec):
        raise InputError(f"{codec.name} codes pictures as a whole: it has no tiles")
    tiles = (tiling or Tiling()).tiles((picture.height, picture.width))
    if tiles is None or not isinstance(codec, VariableRateCodec):
        machine.check(picture.width, picture.height, codec.bytes_per_pixel, codec.stride)
        attempt = _whole_attempts(picture, codec, device_of(machine.device))
    else:
        machine.check_tiled(tiles, codec)
        attempt = _tiled_attempts(picture, TileWriter(codec=codec, device=device_of(machine.device), jobs=machine.jobs), tiles)
    with memory_told(), torch.inference_mode():
        coded = rate.reach(attempt, picture.width * picture.height)
        _read_back(coded.data, codec, machine)
    return coded


def decode(data: bytes, choice: Choice, machine: Machine, region: Box | None = None) -> Picture:
    """The picture in a .tkd file: exactly the size that went in, alpha and profile as they were; or a region of it.

    Of a picture in tiles a region costs no more than the tiles that it sees; any other is decoded as a whole and cut.
    Raises CorruptFile, FingerprintMismatch, OutOfMemory, InputError for a region outside, and ModelNotFound when the weights are not here.
    """
    file = unpack(data, max_pixels=machine.max_pixels)
    size = (file.header.height, file.header.width)
    box = _inside(region, size)
    codec = choice.codec(file.header, machine)
    decoding = _decoding(file, codec, machine)
    with memory_told(), torch.inference_mode():
        rgb = decoding(box)
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


def _decoding(file: TkdFile, codec: Codec, machine: Machine) -> Callable[[Box], Rgb]:
    """What gives the pixels of a box. False claims are damage, not lack of memory, so they are looked at before."""
    size = (file.header.height, file.header.width)
    plan = file.segment(Kind.TILES)
    if plan is None:
        codec.check(file.payload, size)
        machine.check(size[1], size[0], codec.bytes_per_pixel, codec.stride)
        return lambda box: np.ascontiguousarray(to_uint8(codec.synthesise(_read_symbols(file, codec)))[0][box.slices])
    reader = _tile_reader(file, plan, codec, machine)
    reader.check()
    machine.check_tiled(reader.tiles, reader.codec)
    return reader.read


def _tile_reader(file: TkdFile, plan: bytes, codec: Codec, machine: Machine) -> TileReader:
    if not isinstance(codec, VariableRateCodec):
        raise CorruptFile(f"the file has tiles, which {codec.name} never writes: it is damaged")
    found = TilePlan.unpack(plan, len(file.payloads))
    if found.crc32 != file.header.symbol_crc:
        raise CorruptFile("the checksums of the tiles' symbols are not those of the header: the file is damaged")
    size = (file.header.height, file.header.width)
    return TileReader(codec=codec, plan=found, payloads=file.payloads, size=size, jobs=machine.jobs)


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
    ``target_bpp`` instead is met within 3 % by the whole file, or as nearly as the model can. Raises TokodecError.
    """
    if quality is not None and target_bpp is not None:
        raise InputError("give a quality or a target rate, not both")
    machine = Machine()
    codec = model if isinstance(model, Codec) else machine.codec(model or DEFAULT_MODEL)
    asked = None if quality is None else Quality(quality)
    rate = rate_for(codec, asked if target_bpp is None else TargetBpp(target_bpp))
    return encode(from_image(image), codec, rate, machine).data


def decompress(data: bytes) -> Image.Image:
    """The picture in the bytes of a .tkd file. Raises TokodecError: CorruptFile, FingerprintMismatch, ..."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InputError(f"decompress takes the bytes of a .tkd file, not a {type(data).__name__}; for a path: Path(...).read_bytes()")
    return to_pil(decode(bytes(data), Named(), Machine()))


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


def _read_back(data: bytes, codec: Codec, machine: Machine) -> None:
    """The encoder's own check of what it wrote: no file leaves that would not decode."""
    file = unpack(data, max_pixels=MAX_SIDE**2)
    plan = file.segment(Kind.TILES)
    try:
        if plan is None:
            _read_symbols(file, codec)
        else:
            _tile_reader(file, plan, codec, machine).verify()
    except CorruptFile as error:
        raise CorruptFile(f"the file just made does not decode, so it was not kept: {error}") from error


def _extras(picture: Picture) -> list[Segment]:
    extras: list[Segment] = []
    if picture.icc is not None:
        extras.append(Segment(kind=Kind.ICC, data=picture.icc))
    if picture.alpha is not None:
        extras.append(Segment(kind=Kind.ALPHA, data=encode_plane(picture.alpha)))
    return extras


def _read_symbols(file: TkdFile, codec: Codec) -> Symbols:
    """The symbols of a file, if they are those that went in."""
    symbols = codec.read([file.payload], (file.header.height, file.header.width))
    if symbols.crc32() != [file.header.symbol_crc]:
        raise CorruptFile("the decoded symbols are not those that were encoded (their CRC-32 differs): no picture")
    return symbols


def _checked(codec: Codec, header: Header) -> Codec:
    if codec.fingerprint != header.fingerprint:
        raise FingerprintMismatch(
            f"the file was made with {header.model} of fingerprint {header.fingerprint.hex()}, but {codec.name} here has "
            f"{codec.fingerprint.hex()}: use the version that made it (--model), or --force-model NAME to try another all the same"
        )
    return codec


@lru_cache(maxsize=4)
def _kept(name: str, device: torch.device, numerics: str) -> Codec:
    return _load(name, device, numerics)


def _load(name: str, device: torch.device, numerics: str) -> Codec:
    model = store.load(name, device=device, numerics=numerics)
    if isinstance(model, DiscreteTokenizer):
        return TokenCodec(model)
    if not isinstance(model, Codec):
        raise InputError(f"{name} is neither a codec nor a discrete tokenizer: it makes no .tkd files")
    return model


def device_of(name: str) -> torch.device:
    """The device of that name; ``auto`` is CUDA where there is one. Raises InputError for one that cannot be used."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"the device {name!r} cannot be used here: {str(error).splitlines()[0]}") from None
    return device


@contextmanager
def memory_told() -> Generator[None]:
    """Out of memory in torch and numpy as our own error."""
    try:
        yield
    except MemoryError as error:
        raise OutOfMemory("not enough memory for this picture") from error
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error) or "not enough memory" in str(error):
            raise OutOfMemory("not enough memory for this picture") from error
        raise
