"""What was named on the command line as pairs of source and target, checked before the first picture is touched."""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tokodec.cli.options import Selection, Writing
from tokodec.cli.streams import read_stdin, refuse_terminal, shown
from tokodec.errors import InputError, NoInput, OutputExists

STREAM = "-"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file; ``below``: its place below the folder that was named, or its bare name. ``path`` is None for stdin."""

    path: Path | None
    below: Path
    from_folder: bool = False


@dataclass(frozen=True, kw_only=True)
class Job:
    """``source`` None is stdin, ``target`` None is stdout."""

    source: Path | None
    target: Path | None


def find(named: Sequence[str], selection: Selection, suffixes: Collection[str]) -> list[Source]:
    """The files that were named, those of folders in order of their names. ``suffixes``: which files of a folder count.

    Raises NoInput when there are none, and InputError for a list that cannot be read.
    """
    names = [*named, *_listed(selection)]
    if any(not name or "\0" in name for name in names):
        raise InputError("a name is empty or holds a NUL byte (lists that end with NUL bytes need -0)")
    if names.count(STREAM) + (selection.files_from == STREAM) > 1:
        raise InputError("stdin can be read only once")
    sources = [source for name in names for source in _of(name, selection, suffixes)]
    if not sources:
        what = f"matches {selection.glob}" if selection.glob else f"ends in {', '.join(sorted(suffixes))}"
        raise NoInput(f"no input: no file in {', '.join(names)} {what}" if names else "no input was named")
    return sources


def _listed(selection: Selection) -> list[str]:
    if selection.files_from is None:
        return []
    try:
        data = read_stdin() if selection.files_from == STREAM else Path(selection.files_from).read_bytes()
    except OSError as error:
        raise InputError(f"{selection.files_from}: cannot read: {error.strerror or error}") from None
    names = data.split(b"\0") if selection.null else data.splitlines()
    return [os.fsdecode(name) for name in names if name]


def _of(name: str, selection: Selection, suffixes: Collection[str]) -> Iterator[Source]:
    if name == STREAM:
        yield Source(path=None, below=Path("stdin"))
        return
    path = Path(name)
    try:
        is_folder = path.is_dir()
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}") from None
    if not is_folder:
        yield Source(path=path, below=Path(path.name))
        return
    for file in _walk(path, selection.recursive):
        matches = fnmatchcase(file.name, selection.glob) if selection.glob else file.suffix.lower() in suffixes
        if matches:
            yield Source(path=file, below=file.relative_to(path), from_folder=True)


def _walk(folder: Path, recursive: bool) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed: {error.strerror or error}") from None
    for entry in entries:
        if entry.is_file(follow_symlinks=False):
            yield Path(entry.path)
        elif recursive and entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), recursive)


def plan(sources: Sequence[Source], out: str | None, suffix: str) -> list[Job]:
    """A target for each source: beside it, or where ``out`` says. ``suffix`` of targets that are not named.

    A folder is meant when ``out`` ends with a slash or is one, when a folder was named, or when there are several inputs;
    the tree below a named folder is mirrored.
    """
    if out == STREAM:
        if len(sources) > 1:
            raise InputError(f"stdout takes one output, not {len(sources)}")
        return [Job(source=sources[0].path, target=None)]
    if out is None:
        return [Job(source=s.path, target=s.path and s.path.with_suffix(suffix)) for s in sources]
    many = len(sources) > 1 or any(s.from_folder for s in sources)
    if many or out.endswith(("/", os.sep)) or Path(out).is_dir():
        return [Job(source=s.path, target=Path(out) / s.below.with_suffix(suffix)) for s in sources]
    if not Path(out).absolute().parent.is_dir():
        raise InputError(f"{out}: there is no folder {Path(out).parent}")
    return [Job(source=sources[0].path, target=Path(out))]


def check(jobs: Sequence[Job], writing: Writing) -> list[Job]:
    """The jobs that are to be done: all, without those that ``--skip-existing`` leaves out.

    Raises InputError for two inputs with one output, an output that is an input, and a place that cannot be written;
    OutputExists for outputs that exist when neither --force nor --skip-existing was given.
    """
    if any(job.target is None for job in jobs) and not writing.dry_run:
        refuse_terminal()
    _check_collisions(jobs)
    for job in jobs:
        if job.target is not None:
            _check_writable(job.target)
    existing = [job for job in jobs if job.target is not None and job.target.is_file()]
    if writing.skip_existing:
        return [job for job in jobs if job not in existing]
    if existing and not writing.force:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise OutputExists(f"{existing[0].target}{more}: exists already; --force replaces it, --skip-existing leaves it")
    return list(jobs)


def _check_collisions(jobs: Iterable[Job]) -> None:
    sources = {os.path.realpath(job.source): job.source for job in jobs if job.source is not None}
    taken: dict[str, Job] = {}
    for job in jobs:
        if job.target is None:
            continue
        place = os.path.realpath(job.target)
        if place in sources:
            raise InputError(f"{job.target} would be written over an input; name another output")
        if place in taken:
            both = f"{shown(taken[place].source)} and {shown(job.source)}"
            raise InputError(f"{both} would both become {job.target}; put them into different folders")
        taken[place] = job


def _check_writable(target: Path) -> None:
    if target.is_dir():
        raise InputError(f"{target}: is a folder, and a file is to be written there")
    folder = target.absolute().parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"{target}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{target}: the folder {folder} cannot be written to")
