"""What is done to one picture by the verbs that tokenize. Imports torch: only for when there is work to do."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tokodec import __version__, files
from tokodec.api import DiscreteTokenizer
from tokodec.cli.batch import Result
from tokodec.cli.paths import Job
from tokodec.cli.streams import read_stdin
from tokodec.cli.work import deliver
from tokodec.errors import InputError, NoInput, UnsupportedInput
from tokodec.files import Machine
from tokodec.media.alpha import parse_alpha_rule
from tokodec.media.read import read_picture
from tokodec.media.write import encode_picture
from tokodec.tokenfile import Record, compact, is_safe, write_parts
from tokodec.tokenformats import Parts, RecordParts


@dataclass(frozen=True, kw_only=True)
class Tokenize:
    """Picture to record. ``places``: the name of each input's record; ``records`` fills up, by input, two or four bytes an id."""

    tokenizer: DiscreteTokenizer
    machine: Machine
    alpha: str
    places: Mapping[Path | None, str]
    records: dict[Path | None, RecordParts] = field(default_factory=dict)

    def __call__(self, job: Job) -> Result:
        name = self.places[job.source]
        if not is_safe(name):  # before the work, which would be for nothing
            raise InputError(f"{name!a} cannot be the name of a record: rename the file")
        data = _bytes_of(job.source)
        picture = read_picture(data, alpha=parse_alpha_rule(self.alpha), max_pixels=self.machine.max_pixels)
        tokens = files.tokenize(picture, self.tokenizer, self.machine, hashlib.sha256(data).hexdigest())
        self.records[job.source] = compact(Record(name=name, tokens=tokens))
        count = sum(stream.ids.numel() for stream in tokens.streams.values())
        return Result(size=-(-int(tokens.bits.sum()) // 8), pixels=picture.width * picture.height, remark=f"{count} ids, raw bits")


@dataclass(frozen=True, kw_only=True)
class Detokenize:
    """Record to picture. ``records`` and ``formats`` by job."""

    tokenizer: DiscreteTokenizer
    machine: Machine
    records: Mapping[Job, Record]
    formats: Mapping[Job, str]

    def __call__(self, job: Job) -> Result:
        tokens = self.records[job].tokens
        picture = files.detokenize(tokens, self.tokenizer, self.machine)
        deliver(job.target, encode_picture(picture, self.formats[job]))
        return Result(size=-(-int(tokens.bits.sum()) // 8), pixels=picture.width * picture.height, remark="raw bits")


def deliver_tokens(target: Path, form: str, tokenizer: DiscreteTokenizer, records: Sequence[RecordParts]) -> None:
    """Write the file, if there is anything to write."""
    if records:
        writer, fingerprint = f"tokodec {__version__}", tokenizer.fingerprint.hex()
        write_parts(target, Parts(writer=writer, model=tokenizer.name, fingerprint=fingerprint, records=records), form)


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
