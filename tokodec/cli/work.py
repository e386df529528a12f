"""What is done to one input by the verbs that code: read, code, write. Imports torch: only for when there is work to do."""

from dataclasses import dataclass
from pathlib import Path

from tokodec import files
from tokodec.api import Codec
from tokodec.atomic import write_whole
from tokodec.cli.batch import Result
from tokodec.cli.options import Aiming, Decoding, Reading
from tokodec.cli.paths import Job
from tokodec.cli.streams import read_stdin, read_tkd, write_stdout
from tokodec.errors import TokodecError
from tokodec.files import Choice, Machine
from tokodec.media.alpha import AlphaRule
from tokodec.media.picture import Picture
from tokodec.media.read import read_picture
from tokodec.media.write import encode_picture
from tokodec.rate import Coded, Rate


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A picture file to the bytes of a .tkd file."""

    codec: Codec
    rate: Rate
    strict: bool
    alpha: AlphaRule
    keep_icc: bool
    machine: Machine

    @classmethod
    def of(cls, aiming: Aiming, reading: Reading, machine: Machine) -> "Encoder":
        """Loads the model. Raises what that raises, and InputError for what is asked wrongly."""
        alpha, asked = reading.rule(), aiming.rate()
        codec = machine.codec(aiming.model or files.DEFAULT_MODEL)
        rate = files.rate_for(codec, asked)
        return cls(codec=codec, rate=rate, strict=aiming.strict, alpha=alpha, keep_icc=reading.keep_icc, machine=machine)

    def encode(self, source: Path | None) -> tuple[Picture, Coded]:
        """The picture that was read, and its file. Raises TokodecError for a target that is missed, if that is not allowed."""
        stored = read_stdin() if source is None else source
        picture = read_picture(stored, alpha=self.alpha, keep_icc=self.keep_icc, max_pixels=self.machine.max_pixels)
        coded = files.encode(picture, self.codec, self.rate, self.machine)
        if coded.missed and self.strict:
            raise TokodecError(coded.missed)
        return picture, coded


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """The bytes of a .tkd file to a picture."""

    choice: Choice
    machine: Machine

    @classmethod
    def of(cls, decoding: Decoding, machine: Machine) -> "Decoder":
        """Loads the model if one is named. Raises what that raises."""
        choice: Choice = files.Named()
        if decoding.force_model is not None:
            choice = files.Forced(machine.codec(decoding.force_model))
        elif decoding.model is not None:
            choice = files.Given(machine.codec(decoding.model))
        return cls(choice=choice, machine=machine)

    def decode(self, data: bytes) -> Picture:
        """The picture in a file."""
        return files.decode(data, self.choice, self.machine)


@dataclass(frozen=True, kw_only=True)
class Compress:
    """Picture to .tkd."""

    encoder: Encoder

    def __call__(self, job: Job) -> Result:
        picture, coded = self.encoder.encode(job.source)
        deliver(job.target, coded.data)
        return _result(picture, coded)


@dataclass(frozen=True, kw_only=True)
class Decompress:
    """.tkd to picture. ``formats``: of each target."""

    decoder: Decoder
    formats: dict[Job, str]

    def __call__(self, job: Job) -> Result:
        data = read_tkd(job.source)
        picture = self.decoder.decode(data)
        deliver(job.target, encode_picture(picture, self.formats[job]))
        return Result(size=len(data), pixels=picture.width * picture.height)


@dataclass(frozen=True, kw_only=True)
class RoundTrip:
    """Picture to picture, through the bytes of a .tkd file."""

    encoder: Encoder
    formats: dict[Job, str]

    def __call__(self, job: Job) -> Result:
        picture, coded = self.encoder.encode(job.source)
        again = files.decode(coded.data, files.Given(self.encoder.codec), self.encoder.machine)
        deliver(job.target, encode_picture(again, self.formats[job]))
        return _result(picture, coded)


def deliver(target: Path | None, data: bytes) -> None:
    """Write a result: all of it or nothing."""
    if target is None:
        write_stdout(data)
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TokodecError(f"{target.parent}: cannot be made: {error.strerror or error}") from None
    write_whole(target, data)


def _result(picture: Picture, coded: Coded) -> Result:
    quality = f"quality {coded.quality:.3f}" if coded.quality is not None else ""
    return Result(size=len(coded.data), pixels=picture.width * picture.height, remark="; ".join(filter(None, (quality, coded.missed))))
