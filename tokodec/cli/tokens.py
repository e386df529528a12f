"""What is done to one picture by the verbs that tokenize. Imports torch: only for when there is work to do."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokodec import __version__, files
from tokodec.api import DiscreteTokenizer, Tokens
from tokodec.cli.outcome import Result
from tokodec.cli.paths import Job
from tokodec.cli.steps import Work
from tokodec.cli.streams import read_stdin
from tokodec.cli.work import Made, deliver
from tokodec.errors import InputError, NoInput, UnsupportedInput
from tokodec.machine import Machine
from tokodec.media.alpha import parse_alpha_rule
from tokodec.media.picture import Picture
from tokodec.media.read import read_picture
from tokodec.media.write import encode_picture
from tokodec.tokenfile import Record, compact, is_safe, write_parts
from tokodec.tokenformats import Parts, RecordParts


@dataclass(frozen=True, kw_only=True)
class Recorded(Result):
    """What a picture became: its record, two or four bytes an id, and whose ids they are."""

    record: RecordParts
    model: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Read:
    """A picture that is to become a record. ``source``: SHA-256 of its file."""

    name: str
    source: str
    picture: Picture


@dataclass(frozen=True, kw_only=True)
class Tokenize(Work[Read, Record]):
    """Picture to record. ``places``: the name of each input's record."""

    tokenizer: DiscreteTokenizer
    machine: Machine
    alpha: str
    places: Mapping[Path | None, str]

    def read(self, job: Job) -> Read:
        name = self.places[job.source]
        if not is_safe(name):  # before the work, which would be for nothing
            raise InputError(f"{name!a} cannot be the name of a record: rename the file")
        data = _bytes_of(job.source)
        picture = read_picture(data, alpha=parse_alpha_rule(self.alpha), max_pixels=self.machine.max_pixels)
        return Read(name=name, source=hashlib.sha256(data).hexdigest(), picture=picture)

    def weight(self, read: Read) -> int:
        return files.need(read.picture.width, read.picture.height, self.tokenizer.bytes_per_pixel, self.tokenizer.stride)

    def code(self, read: Read) -> Record:
        return Record(name=read.name, tokens=files.tokenize(read.picture, self.tokenizer, self.machine, read.source))

    def finish(self, coded: Record) -> Recorded:
        tokens = coded.tokens
        count = sum(stream.ids.numel() for stream in tokens.streams.values())
        return Recorded(
            size=_raw_bytes(tokens),
            pixels=tokens.size[0] * tokens.size[1],
            remark=f"{count} ids, raw bits",
            record=compact(coded),
            model=self.tokenizer.name,
            fingerprint=self.tokenizer.fingerprint.hex(),
        )


@dataclass(frozen=True, kw_only=True)
class Detokenize(Work[tuple[Job, Tokens], Made[Picture]]):
    """Record to picture. ``records`` by the input of their jobs, ``formats`` by job."""

    tokenizer: DiscreteTokenizer
    machine: Machine
    records: Mapping[Path | None, Record]
    formats: Mapping[Job, str]

    def read(self, job: Job) -> tuple[Job, Tokens]:
        return job, self.records[job.source].tokens

    def weight(self, read: tuple[Job, Tokens]) -> int:
        height, width = read[1].size
        return files.need(width, height, self.tokenizer.bytes_per_pixel, self.tokenizer.stride)

    def code(self, read: tuple[Job, Tokens]) -> Made[Picture]:
        job, tokens = read
        picture = files.detokenize(tokens, self.tokenizer, self.machine)
        result = Result(size=_raw_bytes(tokens), pixels=picture.width * picture.height, remark="raw bits")
        return Made(job=job, what=picture, result=result)

    def finish(self, coded: Made[Picture]) -> Result:
        deliver(coded.job.target, encode_picture(coded.what, self.formats[coded.job]))
        return coded.result


def deliver_tokens(target: Path, form: str, results: Sequence[Recorded]) -> None:
    """Write the file, if there is anything to write."""
    if results:
        first, writer, records = results[0], f"tokodec {__version__}", [result.record for result in results]
        write_parts(target, Parts(writer=writer, model=first.model, fingerprint=first.fingerprint, records=records), form)


def _raw_bytes(tokens: Tokens) -> int:
    return -(-int(tokens.bits.sum()) // 8)


def _bytes_of(source: Path | None) -> bytes:
    """All bytes of an input: the hash of what was tokenized must be that of what was read."""
    if source is None:
        return read_stdin()
    try:
        return source.read_bytes()
    except FileNotFoundError:
        raise NoInput("no such file") from None
    except OSError as error:
        raise UnsupportedInput(f"cannot read: {error.strerror or error}") from None
