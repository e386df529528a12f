"""tokodec decompress: .tkd files to pictures."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument

from tokodec.cli.batch import carry_out
from tokodec.cli.compress import SUFFIX
from tokodec.cli.options import Computing, Decoding, Running, Selection, Writing
from tokodec.cli.paths import STREAM, Job, find, plan
from tokodec.errors import InputError

if TYPE_CHECKING:
    from tokodec.cli.work import Decompress
    from tokodec.machine import Machine

_DEFAULT = "png"


def decompress(
    inputs: Annotated[list[str] | None, Argument(metavar="IN...", help=".tkd files, folders of them, or - for stdin.")] = None,
    *,
    decoding: Decoding,
    selection: Selection,
    writing: Writing,
    running: Running,
    computing: Computing,
) -> int:
    """Decompress .tkd files to pictures.

    By default they are .png files beside them. To stdout: -o -, or -o FORMAT:-.
    """
    output, named = split_format(writing.output, decoding.format)
    decoding.box()  # wrong arguments are told before anything is looked for
    jobs = plan(find(inputs or [], selection, (SUFFIX,)), output, f".{named or _DEFAULT}")
    formats = formats_of(jobs, named)

    return carry_out(jobs, partial(_work, decoding, formats), writing, running, computing)


def _work(decoding: Decoding, formats: dict[Job, str], machine: "Machine") -> "Decompress":
    from tokodec.cli.work import Decoder, Decompress

    return Decompress(decoder=Decoder.of(decoding, machine), formats=formats, region=decoding.box())


def split_format(output: str | None, named: str | None) -> tuple[str | None, str | None]:
    """``png:-`` as stdout and its format. Raises InputError for two formats that differ."""
    before, colon, after = (output or "").rpartition(":")
    if after != STREAM or not colon:
        return output, named
    if named is not None and named != before:
        raise InputError(f"{output} and --format {named} name two formats")
    return STREAM, before


def formats_of(jobs: Sequence[Job], named: str | None) -> dict[Job, str]:
    """The format of each target: the one that was named, or what its suffix says. Raises InputError for unknown ones."""
    from tokodec.media.write import format_of

    every = format_of(Path(f"x.{named}")) if named is not None else None
    return {job: every or (format_of(job.target) if job.target else _DEFAULT) for job in jobs}
