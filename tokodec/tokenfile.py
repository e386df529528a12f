"""Files that hold the tokens of many pictures: one record a picture, what made them once.

Three formats hold the same: ``jsonl`` for people and other languages, ``npz`` for numpy, ``safetensors`` for everything else.
docs/tokens.md lays them out. Whatever comes out of a file was checked: sizes before anything is allocated, ids against their
vocabulary, names so that none leads out of a folder, everything against a checksum.
"""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import torch

from tokodec import storage
from tokodec.atomic import write_whole
from tokodec.codes import Stream, Tokens
from tokodec.errors import CorruptFile, InputError
from tokodec.tokenformats import FORMATS, Parts, RecordParts, StreamParts


@dataclass(frozen=True, kw_only=True)
class Record:
    """The tokens of one picture. ``name``: its place, with forward slashes."""

    name: str
    tokens: Tokens


@dataclass(frozen=True, kw_only=True)
class TokenFile:
    """``model`` and ``fingerprint`` (8 bytes) of the tokenizer; its records in order; the program that wrote it."""

    model: str
    fingerprint: bytes
    records: tuple[Record, ...]
    writer: str = ""


def format_of(path: Path) -> str:
    """The format that a suffix stands for. Raises InputError."""
    name = path.suffix.removeprefix(".").lower()
    if name not in FORMATS:
        raise InputError(f"{path.name}: its suffix names no format; say --format {', '.join(FORMATS)}")
    return name


def write_tokens(path: Path, file: TokenFile, form: str | None = None) -> None:
    """Write a file, whole or not at all. ``form``: one of FORMATS, by default what the suffix says.

    Raises InputError for what could not be read again: records of several pictures, ids out of range, names that are taken
    or lead out of a folder, tokens of another model.
    """
    strangers = [r.name for r in file.records if r.tokens.fingerprint not in (b"", file.fingerprint)]
    if strangers:
        raise InputError(f"{strangers[0]}: its tokens were not made by {file.model} of fingerprint {file.fingerprint.hex()}")
    records = [compact(record) for record in file.records]
    write_parts(path, Parts(writer=file.writer, model=file.model, fingerprint=file.fingerprint.hex(), records=records), form)


def write_parts(path: Path, parts: Parts, form: str | None = None) -> None:
    """The same for records that are compact already."""
    if len({record.name for record in parts.records}) < len(parts.records):
        raise InputError("two records have one name")
    write_whole(path, FORMATS[form or format_of(path)].pack(parts))


def read_tokens(path: Path) -> TokenFile:
    """Read a file in whichever format it is. Raises NoInput and CorruptFile."""
    data = storage.read(path)
    form = next((form for form in FORMATS.values() if form.recognises(data)), None)
    if form is None:
        raise CorruptFile(f"{path}: no file of tokens in a format that tokodec knows ({', '.join(FORMATS)})")
    try:
        return _file(form.unpack(data))
    except CorruptFile as error:
        raise CorruptFile(f"{path}: {error}") from None


def compact(record: Record) -> RecordParts:
    """A record as it is stored: two or four bytes an id. Raises InputError for what could not be read again."""
    if not is_safe(record.name):
        raise InputError(f"{record.name[:60]!a} cannot be the name of a record: it must be printable and lead below a folder")
    if len(record.tokens) != 1:
        raise InputError(f"{record.name}: a record holds one picture, these tokens {len(record.tokens)}: take tokens[i : i + 1]")
    return RecordParts(
        name=record.name,
        source=next(iter(record.tokens.sources), ""),
        size=record.tokens.size,
        streams={name: _stream_parts(stream) for name, stream in record.tokens.streams.items()},
    )


def _stream_parts(stream: Stream) -> StreamParts:
    ids = stream.ids[0] if stream.lengths is None else stream.ids[0, : int(stream.lengths[0])]
    values = storage.compact(ids.cpu(), max(stream.vocab)).numpy()
    return StreamParts(axes=stream.axes, vocab=stream.vocab, varies=stream.lengths is not None, ids=values)


def _file(parts: Parts) -> TokenFile:
    fingerprint = _fingerprint(parts.fingerprint)
    records = tuple(_record(record, parts.model, fingerprint) for record in parts.records)
    names = [record.name for record in records]
    if len(set(names)) < len(names):
        raise CorruptFile("two records of the file have one name")
    return TokenFile(model=parts.model, fingerprint=fingerprint, records=records, writer=parts.writer)


def _record(parts: RecordParts, model: str, fingerprint: bytes) -> Record:
    if not is_safe(parts.name):
        raise CorruptFile(f"the record name {parts.name[:60]!a} is not a place below a folder")
    if not parts.streams or len(parts.size) not in (2, 3) or not all(0 < n <= 1 << 20 for n in parts.size):
        raise CorruptFile(f"{parts.name}: {len(parts.streams)} streams of a picture of size {parts.size} cannot be")
    streams = {name: _stream(stream, parts.name) for name, stream in parts.streams.items()}
    tokens = Tokens(streams=streams, size=parts.size, model=model, fingerprint=fingerprint, sources=(parts.source,) if parts.source else ())
    return Record(name=parts.name, tokens=tokens)


def _stream(parts: StreamParts, name: str) -> Stream:
    ids = torch.from_numpy(parts.ids.astype("int64"))[None]
    lengths = torch.tensor([ids.shape[1]]) if parts.varies and ids.ndim > 1 else None
    try:
        stream = Stream(ids=ids, axes=parts.axes, vocab=parts.vocab, lengths=lengths)
    except (InputError, IndexError) as error:
        raise CorruptFile(f"{name}: {error}") from None
    sizes = torch.tensor(parts.vocab)
    if ids.numel() and not bool((ids < (sizes if parts.axes[-1] == "k" else sizes[0])).all()):
        raise CorruptFile(f"{name}: an id is not below its vocabulary")
    return stream


def _fingerprint(digits: str) -> bytes:
    try:
        fingerprint = bytes.fromhex(digits)
    except ValueError:
        fingerprint = b"?"
    if len(fingerprint) not in (0, 8):
        raise CorruptFile(f"the fingerprint {digits[:20]!a} is not 16 hexadecimal digits")
    return fingerprint


def is_safe(name: str) -> bool:
    """Whether a name leads to a place below the folder that it is joined to, on any system.

    Names that are usual where they come from pass, such as ``12:30.png``, which Windows does not allow.
    """
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if not posix.parts or not name.isprintable() or len(name) > 1024:
        return False
    if posix.root or windows.anchor or ".." in (*posix.parts, *windows.parts):
        return False
    return os.name != "nt" or not set(name) & set(':*?"<>|')
