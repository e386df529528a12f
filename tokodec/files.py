"""Between pictures and .tkd files: where picture, model and container meet.

    picture ── symbols ── write ── read again, same symbols? ── container ──> bytes
    bytes ── container ── model and fingerprint ── read ── CRC of the symbols ── synthesise ──> picture

Nothing that a file claims is believed before it is checked: sides against a limit, memory against what there is, the
payload against what its symbols must cost (in the reader of the codec), the symbols against their CRC.
"""

from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
from PIL import Image

from tokodec.api import Codec, DiscreteTokenizer, Symbols, Tokens
from tokodec.catalogue import resolve, zoo
from tokodec.codecs.token import TokenCodec
from tokodec.entropy.container import DEFAULT_MAX_PIXELS, MAX_SIDE, Header, Kind, Segment, TkdFile, pack, unpack
from tokodec.errors import CorruptFile, FingerprintMismatch, InputError, OutOfMemory
from tokodec.media.alpha import decode_plane, encode_plane
from tokodec.media.limits import check_size, physical_memory
from tokodec.media.picture import Picture
from tokodec.media.pixels import to_uint8, to_unit
from tokodec.media.read import ImageLike, from_image
from tokodec.media.write import to_pil
from tokodec.pretrained import store
from tokodec.rate import Coded, Encode, Quality, Rate, TargetBpp

DEFAULT_MODEL = "hyperprior_vr"
DEFAULT_TOKENIZER = "vq_f16"
DEFAULT_QUALITY = 0.5
FILE_KINDS = ("codec", "discrete")
"""Kinds of models that make .tkd files."""


def need(width: int, height: int, bytes_per_pixel: int, stride: int) -> int:
    """Bytes of memory that a picture takes in a model that fills it up to multiples of ``stride``."""
    filled = [-(-side // stride) * stride for side in (width, height)]
    return filled[0] * filled[1] * bytes_per_pixel


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where models run, how, and what a picture may take.

    ``device``: as torch names it, or ``auto``. ``numerics``: ``stable`` or ``fast``. ``max_memory`` in bytes.
    """

    device: str = "cpu"
    numerics: str = "stable"
    max_pixels: int = DEFAULT_MAX_PIXELS
    max_memory: int = field(default_factory=physical_memory)

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
        needed = need(width, height, bytes_per_pixel, stride)
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


def encode(picture: Picture, codec: Codec, rate: Rate, machine: Machine) -> Coded:
    """A whole .tkd file of a picture, which is known to decode: both steps, :func:`code` and :func:`confirm`. Raises what they raise."""
    coded = code(picture, codec, rate, machine)
    confirm(coded, codec)
    return coded


def code(picture: Picture, codec: Codec, rate: Rate, machine: Machine) -> Coded:
    """A whole .tkd file, not yet confirmed.

    Raises OutOfMemory, UnsupportedInput, and InputError for a quality that ``codec`` does not take.
    """
    machine.check(picture.width, picture.height, codec.bytes_per_pixel, codec.stride)
    with memory_told(), torch.inference_mode():
        return rate.reach(_attempts(picture, codec, device_of(machine.device)), picture.width * picture.height)


def confirm(coded: Coded, codec: Codec) -> None:
    """The encoder's own check of what it wrote: no file leaves that would not decode. Raises CorruptFile."""
    with memory_told(), torch.inference_mode():
        try:
            _symbols(unpack(coded.data, max_pixels=MAX_SIDE**2), codec)
        except CorruptFile as error:
            raise CorruptFile(f"the file just made does not decode, so it was not kept: {error}") from error


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A .tkd file whose symbols were read and are those that went in."""

    file: TkdFile
    codec: Codec
    symbols: Symbols

    @property
    def weight(self) -> int:
        """Bytes of memory that decoding it takes."""
        return need(self.file.header.width, self.file.header.height, self.codec.bytes_per_pixel, self.codec.stride)


def decode(data: bytes, choice: Choice, machine: Machine) -> Picture:
    """The picture in a .tkd file: exactly the size that went in, alpha and profile as they were.

    Both steps, :func:`open_file` and :func:`picture_of`. Raises what they raise.
    """
    return picture_of(open_file(data, choice, machine))


def open_file(data: bytes, choice: Choice, machine: Machine) -> Opened:
    """A .tkd file and its symbols.

    Raises CorruptFile, FingerprintMismatch, OutOfMemory, and ModelNotFound when the weights are not here.
    """
    file = unpack(data, max_pixels=machine.max_pixels)
    codec = choice.codec(file.header, machine)
    codec.check(file.payload, (file.header.height, file.header.width))  # before memory: a false claim is damage, not lack of it
    machine.check(file.header.width, file.header.height, codec.bytes_per_pixel, codec.stride)
    with memory_told(), torch.inference_mode():
        return Opened(file=file, codec=codec, symbols=_symbols(file, codec))


def picture_of(opened: Opened) -> Picture:
    """The picture of a file's symbols. Raises OutOfMemory, and CorruptFile for transparency that cannot be read."""
    file = opened.file
    with memory_told(), torch.inference_mode():
        rgb = to_uint8(opened.codec.synthesise(opened.symbols))[0]
        alpha = file.segment(Kind.ALPHA)
        return Picture(
            rgb=rgb,
            alpha=None if alpha is None else decode_plane(alpha, file.header.width, file.header.height),
            gray=file.header.gray,
            icc=file.segment(Kind.ICC),
        )


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


def _attempts(picture: Picture, codec: Codec, device: torch.device) -> Encode:
    """Whole files of one picture at any quality."""
    x = to_unit(picture.rgb).to(device)
    extras = _extras(picture)
    first = [s for s in extras if s.kind == Kind.ICC]  # the order that docs/format.md asks writers for
    last = [s for s in extras if s.kind != Kind.ICC]

    def attempt(quality: float | None) -> bytes:
        symbols = codec.symbols(x, quality)
        header = Header(
            model=codec.name,
            fingerprint=codec.fingerprint,
            width=picture.width,
            height=picture.height,
            gray=picture.gray,
            symbol_crc=symbols.crc32()[0],
        )
        payload = Segment(kind=Kind.PAYLOAD, data=codec.write(symbols)[0])
        return pack(TkdFile(header=header, segments=(*first, payload, *last)))

    return attempt


def _extras(picture: Picture) -> list[Segment]:
    extras: list[Segment] = []
    if picture.icc is not None:
        extras.append(Segment(kind=Kind.ICC, data=picture.icc))
    if picture.alpha is not None:
        extras.append(Segment(kind=Kind.ALPHA, data=encode_plane(picture.alpha)))
    return extras


def _symbols(file: TkdFile, codec: Codec) -> Symbols:
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
