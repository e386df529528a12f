"""What is done to one input by the verbs that code: read, code, write. Imports torch: only for when there is work to do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from tokodec import files
from tokodec.api import Codec
from tokodec.atomic import write_whole
from tokodec.cli.options import Aiming, Decoding, Reading
from tokodec.cli.outcome import Result
from tokodec.cli.paths import Job
from tokodec.cli.steps import Work
from tokodec.cli.streams import read_stdin, read_tkd, write_stdout
from tokodec.entropy.tileplan import Box, Tiling
from tokodec.errors import TokodecError
from tokodec.files import Choice, Wanted
from tokodec.machine import Machine
from tokodec.media.alpha import AlphaRule
from tokodec.media.picture import Picture
from tokodec.media.read import read_picture
from tokodec.media.write import encode_picture
from tokodec.opened import Opened
from tokodec.rate import Coded, Rate

MadeT = TypeVar("MadeT")


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A picture file to the bytes of a .tkd file."""

    codec: Codec
    rate: Rate
    strict: bool
    alpha: AlphaRule
    keep_icc: bool
    machine: Machine
    tiling: Tiling | None = None

    @classmethod
    def of(cls, aiming: Aiming, reading: Reading, machine: Machine) -> "Encoder":
        """Loads the model. Raises what that raises, and InputError for what is asked wrongly."""
        alpha, asked = reading.rule(), aiming.rate()
        codec = machine.codec(aiming.model or files.DEFAULT_MODEL)
        rate = files.rate_for(codec, asked)
        return cls(
            codec=codec,
            rate=rate,
            strict=aiming.strict,
            alpha=alpha,
            keep_icc=reading.keep_icc,
            machine=machine,
            tiling=aiming.tiling(),
        )

    def read(self, source: Path | None) -> Picture:
        """The picture in a file. Raises what ``read_picture`` raises."""
        stored = read_stdin() if source is None else source
        return read_picture(stored, alpha=self.alpha, keep_icc=self.keep_icc, max_pixels=self.machine.max_pixels)

    def weight(self, picture: Picture) -> int:
        """Bytes of memory that coding it takes."""
        return files.weight_of(picture, self.codec, self.machine, self.tiling)

    def code(self, picture: Picture) -> Coded:
        """Its file, not yet confirmed. Raises TokodecError for a target that is missed, if that is not allowed."""
        coded = files.code(picture, self.codec, self.rate, self.machine, self.tiling)
        if coded.missed and self.strict:
            raise TokodecError(coded.missed)
        return coded


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """The bytes of a .tkd file to a picture."""

    choice: Choice
    machine: Machine
    wanted: Wanted = files.ALL

    @classmethod
    def of(cls, decoding: Decoding, machine: Machine) -> "Decoder":
        """Loads the model if one is named. Raises what that raises."""
        choice: Choice = files.Named()
        if decoding.force_model is not None:
            choice = files.Forced(machine.codec(decoding.force_model))
        elif decoding.model is not None:
            choice = files.Given(machine.codec(decoding.model))
        return cls(choice=choice, machine=machine, wanted=decoding.wanted())

    def open(self, data: bytes) -> Opened:
        """The symbols in a file. Raises what ``open_file`` raises."""
        return files.open_file(data, self.choice, self.machine, self.wanted)


@dataclass(frozen=True, kw_only=True)
class Made(Generic[MadeT]):
    """What was made for a target, and what there is to say of it."""

    job: Job
    what: MadeT
    result: Result


@dataclass(frozen=True, kw_only=True)
class Compress(Work[tuple[Job, Picture], Made[Coded]]):
    """Picture to .tkd."""

    encoder: Encoder

    def read(self, job: Job) -> tuple[Job, Picture]:
        return job, self.encoder.read(job.source)

    def weight(self, read: tuple[Job, Picture]) -> int:
        return self.encoder.weight(read[1])

    def code(self, read: tuple[Job, Picture]) -> Made[Coded]:
        job, picture = read
        coded = self.encoder.code(picture)
        return Made(job=job, what=coded, result=_result(picture, coded))

    def finish(self, coded: Made[Coded]) -> Result:
        files.confirm(coded.what, self.encoder.codec, self.encoder.machine)
        deliver(coded.job.target, coded.what.data)
        return coded.result


@dataclass(frozen=True, kw_only=True)
class Decompress(Work[Made[Opened], Made[Picture]]):
    """.tkd to picture. ``formats``: of each target."""

    decoder: Decoder
    formats: dict[Job, str]
    region: Box | None = None

    def read(self, job: Job) -> Made[Opened]:
        data = read_tkd(job.source)
        opened = self.decoder.open(data)
        header = opened.file.header
        return Made(job=job, what=opened, result=Result(size=len(data), pixels=header.width * header.height, remark=opened.remark))

    def weight(self, read: Made[Opened]) -> int:
        return read.what.weight

    def code(self, read: Made[Opened]) -> Made[Picture]:
        return Made(job=read.job, what=files.picture_of(read.what, self.region), result=read.result)

    def finish(self, coded: Made[Picture]) -> Result:
        deliver(coded.job.target, encode_picture(coded.what, self.formats[coded.job]))
        return coded.result


@dataclass(frozen=True, kw_only=True)
class RoundTrip(Work[tuple[Job, Picture], Made[Picture]]):
    """Picture to picture, through the bytes of a .tkd file."""

    encoder: Encoder
    formats: dict[Job, str]

    def read(self, job: Job) -> tuple[Job, Picture]:
        return job, self.encoder.read(job.source)

    def weight(self, read: tuple[Job, Picture]) -> int:
        return self.encoder.weight(read[1])

    def code(self, read: tuple[Job, Picture]) -> Made[Picture]:
        job, picture = read
        coded = self.encoder.code(picture)
        again = files.decode(coded.data, files.Given(self.encoder.codec), self.encoder.machine)
        return Made(job=job, what=again, result=_result(picture, coded))

    def finish(self, coded: Made[Picture]) -> Result:
        deliver(coded.job.target, encode_picture(coded.what, self.formats[coded.job]))
        return coded.result


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
    tokens = f"{coded.tokens} tokens a window" if coded.tokens is not None else ""
    remark = "; ".join(filter(None, (quality, tokens, coded.missed)))
    return Result(size=len(coded.data), pixels=picture.width * picture.height, remark=remark)
