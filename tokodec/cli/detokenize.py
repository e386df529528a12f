"""tokodec detokenize: a file of tokens back to pictures."""

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from tokodec.cli.batch import doing, exit_code, preview, run
from tokodec.cli.decompress import formats_of
from tokodec.cli.options import Computing, Running, Writing
from tokodec.cli.paths import STREAM, Job, check
from tokodec.errors import InputError

if TYPE_CHECKING:
    from tokodec.cli.tokens import Detokenize
    from tokodec.machine import Machine
    from tokodec.tokenfile import TokenFile

_DEFAULT = "png"


def detokenize(
    source: Annotated[str, Argument(metavar="FILE", help="A file that tokodec tokenize wrote.")],
    *,
    model: Annotated[
        str | None, Option("--model", "-m", metavar="NAME", help="Decode with this tokenizer; its fingerprint must be the file's.")
    ] = None,
    picture_format: Annotated[str, Option("--format", metavar="NAME", help="Of the pictures: png, jpeg, webp ...")] = _DEFAULT,
    writing: Writing,
    running: Running,
    computing: Computing,
) -> int:
    """Turn tokens back into pictures, in a folder with the places they came from.

    Without -m, the tokenizer that the file names is used: one of the zoo, never a path.
    """
    from tokodec.catalogue import zoo
    from tokodec.errors import CorruptFile

    if writing.output is None or writing.output == STREAM:
        raise InputError("name the folder of the pictures with -o")
    tokens = _Source(Path(source))
    file = tokens.file
    if model is None and (file.model not in zoo() or zoo()[file.model].kind != "discrete"):
        raise CorruptFile(f"{source}: names {file.model[:60]!a}, which is no discrete tokenizer of this version; choose one with -m")
    folder = Path(writing.output)
    jobs = [Job(source=Path(r.name), target=folder / Path(r.name).with_suffix(f".{picture_format}")) for r in file.records]
    todo = _checked(jobs, Path(source), writing)
    wanted = set(todo)
    left_out = [job for job in jobs if job not in wanted]
    formats = formats_of(todo, picture_format)
    if writing.dry_run or not todo:
        return preview(todo, left_out, running)
    do = doing(len(todo), partial(_work, tokens, model, formats), running, computing)
    return exit_code(run(todo, left_out, do, running), len(jobs))


class _Source:
    """A file of tokens, read once in every process."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def file(self) -> "TokenFile":
        from tokodec.tokenfile import read_tokens

        return read_tokens(self.path)

    def __reduce__(self) -> "tuple[type[_Source], tuple[Path]]":
        return _Source, (self.path,)


def _work(source: _Source, model: str | None, formats: dict[Job, str], machine: "Machine") -> "Detokenize":
    from tokodec.cli.tokens import Detokenize

    file = source.file
    tokenizer = machine.tokenizer(model or file.model)
    tokenizer.check_maker(file.records[0].tokens)  # once, not for every record
    return Detokenize(tokenizer=tokenizer, machine=machine, records={Path(r.name): r for r in file.records}, formats=formats)


def _checked(jobs: Sequence[Job], source: Path, writing: Writing) -> list[Job]:
    """Those that are to be done. The input of all of them is the file of tokens: names of records are no files here."""
    taken: dict[Path | None, Job] = {}
    for job in jobs:
        if job.target in taken:
            raise InputError(f"the records {taken[job.target].source} and {job.source} would both become {job.target}")
        taken[job.target] = job
    try:
        todo = check([Job(source=source, target=job.target) for job in jobs], writing)
    except OSError as error:  # a name that is too long here
        raise InputError(f"{error.filename}: {error.strerror}") from None
    return [taken[job.target] for job in todo]
