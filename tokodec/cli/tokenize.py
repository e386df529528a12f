"""tokodec tokenize: pictures to one file of tokens."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from tokodec.cli import talk
from tokodec.cli.batch import doing, exit_code, preview, run
from tokodec.cli.options import Computing, Running, Selection, Writing
from tokodec.cli.paths import STREAM, Job, Source, check, find
from tokodec.errors import InputError

if TYPE_CHECKING:
    from tokodec.cli.tokens import Tokenize
    from tokodec.machine import Machine


@dataclass(frozen=True, kw_only=True)
class Tokenizing:
    """Which tokenizer, what becomes of transparency, and how the tokens are laid out."""

    model: Annotated[str | None, Option("--model", "-m", metavar="NAME", help="A discrete tokenizer; the default is vq_f16.")] = None
    format: Annotated[str | None, Option(metavar="npz|safetensors|jsonl", help="Of the file; else as its suffix says.")] = None
    alpha: Annotated[str, Option(metavar="drop|flatten=COLOUR", help="Transparency, which tokens cannot hold.")] = "flatten=white"


def tokenize(
    inputs: Annotated[list[str] | None, Argument(metavar="IN...", help="Pictures, folders of them, or - for stdin.")] = None,
    *,
    tokenizing: Tokenizing,
    selection: Selection,
    writing: Writing,
    running: Running,
    computing: Computing,
) -> int:
    """Tokenize pictures into one file: a record a picture.

    Pictures that fail are told and left out; the file holds the others.
    """
    from tokodec.media.formats import INPUT_SUFFIXES

    target, form = _target(writing, tokenizing)
    sources = find(inputs or [], selection, INPUT_SUFFIXES)
    names = [source.below.as_posix() for source in sources]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"two inputs would both be the record {twice}: name the folder above them instead")
    if any(_same(source.path, target) for source in sources):
        raise InputError(f"{target} would be written over an input; name another output")
    todo = check([Job(source=sources[0].path, target=target)], writing)
    jobs = [Job(source=source.path, target=target) for source in sources]
    if not todo or writing.dry_run:
        return preview(jobs if todo else [], [] if todo else jobs, running)
    return _run(sources, target, form, tokenizing, running, computing)


def _target(writing: Writing, tokenizing: Tokenizing) -> tuple[Path, str]:
    from tokodec.media.alpha import KeepAlpha, parse_alpha_rule
    from tokodec.tokenfile import format_of
    from tokodec.tokenformats import FORMATS

    if writing.output is None or writing.output == STREAM:
        raise InputError("name the file of tokens with -o")
    if isinstance(parse_alpha_rule(tokenizing.alpha), KeepAlpha):
        raise InputError("tokens hold no transparency: --alpha drop or --alpha flatten=COLOUR")
    if tokenizing.format is not None and tokenizing.format not in FORMATS:
        raise InputError(f"there is no format {tokenizing.format!r}: {', '.join(FORMATS)}")
    target = Path(writing.output)
    if not target.absolute().parent.is_dir():
        raise InputError(f"{target}: there is no folder {target.parent}")
    return target, tokenizing.format or format_of(target)


def _same(source: Path | None, target: Path) -> bool:
    return source is not None and source.resolve() == target.resolve()


def _run(sources: list[Source], target: Path, form: str, tokenizing: Tokenizing, running: Running, computing: Computing) -> int:
    from tokodec.cli.tokens import Recorded, deliver_tokens

    jobs = [Job(source=source.path, target=target) for source in sources]
    places = {source.path: source.below.as_posix() for source in sources}
    outcomes = run(jobs, [], doing(len(jobs), partial(_work, tokenizing, places), running, computing), running)
    code = exit_code(outcomes, len(jobs))
    if code and running.fail_fast:
        talk.say(f"{target}: not written, because of the failure and --fail-fast")
        return code
    deliver_tokens(target, form, [outcome.result for outcome in outcomes if isinstance(outcome.result, Recorded)])
    return code


def _work(tokenizing: Tokenizing, places: dict[Path | None, str], machine: "Machine") -> "Tokenize":
    from tokodec import files
    from tokodec.cli.tokens import Tokenize

    tokenizer = machine.tokenizer(tokenizing.model or files.DEFAULT_TOKENIZER)
    return Tokenize(tokenizer=tokenizer, machine=machine, alpha=tokenizing.alpha, places=places)
