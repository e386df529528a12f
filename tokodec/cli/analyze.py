"""tokodec analyze: what the ids of many pictures look like."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from tokodec.cli import talk
from tokodec.cli.batch import doing, exit_code, preview, run
from tokodec.cli.options import Computing, Running, Selection
from tokodec.cli.outcome import Outcome
from tokodec.cli.paths import STREAM, Job, find
from tokodec.cli.streams import shown
from tokodec.errors import InputError, OutputExists

if TYPE_CHECKING:
    from tokodec.analyze.document import Document
    from tokodec.cli.counted import Count
    from tokodec.machine import Machine


@dataclass(frozen=True, kw_only=True)
class Looking:
    """How many pictures are looked at, what becomes of transparency, and how many codes are drawn."""

    limit: Annotated[int | None, Option(min=1, metavar="N", help="Only the first N pictures, in order of their names.")] = None
    atlas: Annotated[int, Option(min=0, metavar="N", help="Draw every code of codebooks up to N, else the N most frequent; 0: none.")] = (
        16384
    )
    alpha: Annotated[str, Option(metavar="drop|flatten=COLOUR", help="Transparency, which tokens cannot hold.")] = "flatten=white"


@dataclass(frozen=True, kw_only=True)
class Placing:
    """Where the results go."""

    output: Annotated[str | None, Option("--output", "-o", metavar="DIR", help="A new folder for analysis.json and index.html.")] = None
    force: Annotated[bool, Option("--force", "-f", help="Write into a folder that exists; its other files stay.")] = False
    dry_run: Annotated[bool, Option("--dry-run", help="Check everything, print what would be done, do nothing.")] = False


@dataclass(frozen=True, kw_only=True)
class Telling(Running):
    """How it runs and what it says."""

    json: Annotated[bool, Option("--json", help="Print one JSON object on stdout: the headline figures.")] = False


def analyze(
    model: Annotated[str, Argument(metavar="MODEL", help="A discrete tokenizer: see tokodec models list; or dir:FOLDER.")],
    data: Annotated[list[str] | None, Argument(metavar="DATA...", help="Pictures, folders of them, or - for stdin.")] = None,
    *,
    looking: Looking,
    selection: Selection,
    placing: Placing,
    running: Telling,
    computing: Computing,
) -> int:
    """Measure the ids of pictures as words of a language, and draw every code.

    Writes analysis.json and index.html, a page that needs no other file and no network, into DIR. Pictures that fail are told and left out.
    """
    from tokodec.media.formats import INPUT_SUFFIXES

    folder = _folder(placing)
    _check_alpha(looking)
    sources = find(data or [], selection, INPUT_SUFFIXES)[: looking.limit]
    jobs = [Job(source=source.path, target=folder) for source in sources]
    if placing.dry_run:
        return preview(jobs, [], running)
    do = doing(len(jobs), partial(_work, model, looking.alpha, {s.path: s.below.as_posix() for s in sources}), running, computing)
    outcomes = run(jobs, [], do, replace(running, json=False))
    code = exit_code(outcomes, len(jobs))
    if code and running.fail_fast:
        talk.say(f"{folder}: not written, because of the failure and --fail-fast")
        return code
    if all(outcome.failure is not None for outcome in outcomes):
        return code
    document = _measured(outcomes)
    _deliver(folder, document, _page(document, model, looking.atlas, running, computing), running)
    return code


def _folder(placing: Placing) -> Path:
    if placing.output is None or placing.output == STREAM:
        raise InputError("name the folder of the results with -o")
    folder = Path(placing.output)
    if not folder.absolute().parent.is_dir():
        raise InputError(f"{folder}: there is no folder {folder.parent}")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file, and a folder is to be written there")
    if folder.exists() and not placing.force:
        raise OutputExists(f"{folder}: exists already; --force writes into it, and leaves its other files")
    return folder


def _check_alpha(looking: Looking) -> None:
    from tokodec.media.alpha import KeepAlpha, parse_alpha_rule

    if isinstance(parse_alpha_rule(looking.alpha), KeepAlpha):
        raise InputError("tokens hold no transparency: --alpha drop or --alpha flatten=COLOUR")


def _work(model: str, alpha: str, places: dict[Path | None, str], machine: "Machine") -> "Count":
    from tokodec.cli.counted import Count

    codec = machine.token_codec(model)
    return Count(tokenizer=codec.tokenizer, codec=codec, machine=machine, alpha=alpha, places=places)


def _measured(outcomes: Sequence[Outcome]) -> "Document":
    from tokodec.analyze.document import Failed
    from tokodec.cli.counted import Counted, document

    failed = [Failed(name=shown(o.job.source), error=talk.one_line(o.failure.words)) for o in outcomes if o.failure is not None]
    return document([o.result for o in outcomes if isinstance(o.result, Counted)], failed)


def _page(document: "Document", model: str, most: int, running: Telling, computing: Computing) -> str:
    from tokodec.analyze.atlas import atlases
    from tokodec.analyze.html import page

    told = _Tenths(running.quiet)
    return page(document, atlases(computing.machine().tokenizer(model), document.codebooks, most, told))


@dataclass
class _Tenths:
    """Says on stderr how far a drawing is, ten times."""

    quiet: bool
    said: int = 0

    def __call__(self, name: str, done: int, total: int) -> None:
        tenth = 10 * done // total
        if tenth != self.said and not self.quiet:
            talk.say(f"atlas of {name}: {done} of {total} codes")
        self.said = tenth


def _deliver(folder: Path, document: "Document", page: str, running: Telling) -> None:
    from tokodec.atomic import write_folder

    files = {"analysis.json": document.json().encode(), "index.html": page.encode()}
    write_folder(folder, files)
    if running.json:
        talk.put_json({"output": str(folder), **document.headline()})
    elif not running.quiet:
        talk.say(f"{folder}: {', '.join(f'{name}, {len(data) / 1e6:.1f} MB' for name, data in files.items())}")
