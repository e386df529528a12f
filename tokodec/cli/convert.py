"""tokodec IN [OUT]: compresses, decompresses or makes a round trip, whichever the names say."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument

from tokodec.cli.batch import carry_out
from tokodec.cli.compress import SUFFIX, compress
from tokodec.cli.decompress import decompress, formats_of, split_format
from tokodec.cli.options import Coding, Computing, Reading, Running, Selection, Writing
from tokodec.cli.paths import STREAM, Job, find, plan
from tokodec.cli.streams import first_of_stdin
from tokodec.entropy.container import MAGIC
from tokodec.errors import InputError

if TYPE_CHECKING:
    from tokodec.cli.work import RoundTrip
    from tokodec.machine import Machine


def convert(
    source: Annotated[str, Argument(metavar="IN", help="A picture, a .tkd file, or - for stdin.")],
    target: Annotated[str | None, Argument(metavar="[OUT]", help="A .tkd file, a picture, a folder, or - for stdout.")] = None,
    *,
    coding: Coding,
    reading: Reading,
    writing: Writing,
    running: Running,
    computing: Computing,
) -> int:
    """IN [OUT] without a verb means this.

    A picture becomes a .tkd file, a .tkd file a picture, and with the name of a picture as OUT it is a round trip.
    """
    if target is not None and writing.output is not None:
        raise InputError("the output is named twice")
    writing = replace(writing, output=target or writing.output)
    if Path(source).is_dir():
        raise InputError(f"{source} is a folder: say tokodec compress or tokodec decompress")
    if _is_compressed(source):
        if (writing.output or "").lower().endswith(SUFFIX):
            raise InputError(f"{source} and {writing.output} are both .tkd files: there is nothing to do")
        return decompress([source], decoding=coding, selection=Selection(), writing=writing, running=running, computing=computing)
    if coding.region is not None:
        raise InputError("--region is a part of a .tkd file's picture: say it when you decompress")
    if coding.tokens is not None or coding.partial:
        raise InputError("--tokens and --partial say what is read of a .tkd file: say them when you decompress")
    if not _is_picture(writing.output):
        return compress(
            [source], aiming=coding, reading=reading, selection=Selection(), writing=writing, running=running, computing=computing
        )
    return _round_trip(source, coding, reading, writing, running, computing)


def _round_trip(source: str, coding: Coding, reading: Reading, writing: Writing, running: Running, computing: Computing) -> int:
    coding.rate()
    coding.tiling()
    reading.rule()
    output, named = split_format(writing.output, coding.format)
    jobs = plan(find([source], Selection(), ()), output, "")
    formats = formats_of(jobs, named)

    return carry_out(jobs, partial(_work, coding, reading, formats), writing, running, computing)


def _work(coding: Coding, reading: Reading, formats: dict[Job, str], machine: "Machine") -> "RoundTrip":
    from tokodec.cli.work import Encoder, RoundTrip

    return RoundTrip(encoder=Encoder.of(coding, reading, machine), formats=formats)


def _is_compressed(source: str) -> bool:
    """By its suffix, or, of stdin, by its first bytes."""
    if source != STREAM:
        return source.lower().endswith(SUFFIX)
    return first_of_stdin(len(MAGIC)) == MAGIC


def _is_picture(output: str | None) -> bool:
    """Whether an output is the name of a picture, or ``FORMAT:-``."""
    from tokodec.media.formats import INPUT_SUFFIXES

    return output is not None and (output.endswith(":-") or Path(output).suffix.lower() in INPUT_SUFFIXES) and not Path(output).is_dir()
