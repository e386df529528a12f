"""tokodec compress: pictures to .tkd files."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

from typer import Argument

from tokodec.cli.batch import carry_out
from tokodec.cli.options import Aiming, Computing, Reading, Running, Selection, Writing
from tokodec.cli.paths import find, plan
from tokodec.errors import InputError

if TYPE_CHECKING:
    from tokodec.cli.work import Compress
    from tokodec.machine import Machine

SUFFIX = ".tkd"


def compress(
    inputs: Annotated[list[str] | None, Argument(metavar="IN...", help="Pictures, folders of them, or - for stdin.")] = None,
    *,
    aiming: Aiming,
    reading: Reading,
    selection: Selection,
    writing: Writing,
    running: Running,
    computing: Computing,
) -> int:
    """Compress pictures to .tkd files, by default beside them."""
    from tokodec.media.formats import INPUT_SUFFIXES

    aiming.rate()  # wrong arguments are told before anything is looked for
    aiming.tiling()
    reading.rule()
    jobs = plan(find(inputs or [], selection, INPUT_SUFFIXES), writing.output, SUFFIX)
    for job in jobs:
        if job.target and job.target.suffix.lower() in INPUT_SUFFIXES:
            raise InputError(f"{job.target}: the name of a picture, not of a .tkd file (a round trip is: tokodec IN OUT)")

    return carry_out(jobs, partial(_work, aiming, reading), writing, running, computing)


def _work(aiming: Aiming, reading: Reading, machine: "Machine") -> "Compress":
    from tokodec.cli.work import Compress, Encoder

    return Compress(encoder=Encoder.of(aiming, reading, machine))
