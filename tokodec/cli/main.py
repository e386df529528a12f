"""The command ``tokodec``: its verbs, and every error as one line and an exit code.

0 all done · 1 unexpected error · 2 wrong usage · 3 some inputs failed · 4 no input · 5 output exists · 6 model not here ·
7 damaged file or other weights · 8 out of memory · 130 interrupted
"""

import signal
import sys
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer

from tokodec import __version__
from tokodec.cli import talk
from tokodec.cli.analyze import analyze
from tokodec.cli.bench import bench
from tokodec.cli.compress import compress
from tokodec.cli.convert import convert
from tokodec.cli.decompress import decompress
from tokodec.cli.detokenize import detokenize
from tokodec.cli.doctor import doctor
from tokodec.cli.inspect import inspect
from tokodec.cli.models import models
from tokodec.cli.options import flat
from tokodec.cli.tokenize import tokenize
from tokodec.cli.train import train
from tokodec.cli.verify import verify
from tokodec.errors import InputError

INTERRUPTED = 130
_TERMINATED = 128 + signal.SIGTERM

_UsageError: Any = typer.BadParameter.__base__
"""Typer's own base of what is wrong with a command line, which it does not export."""

app = typer.Typer(
    help="Visual tokens and learned codecs. tokodec IN [OUT] compresses a picture, decompresses a .tkd file, or makes a round trip.",
    epilog="Exit codes: 0 done, 1 unexpected, 2 usage, 3 some failed, 4 no input, 5 output exists, 6 no model, 7 damaged or made with "
    "other weights, 8 out of memory, 130 interrupted.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        talk.put(f"tokodec {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    pass


for _verb in (convert, compress, decompress, tokenize, detokenize, analyze, inspect, verify):
    app.command()(flat(_verb))
app.add_typer(models, name="models")
app.add_typer(bench, name="bench")
for _verb in (train, doctor):
    app.command()(_verb)

_WORDS = {*(command.name or command.callback.__name__ for command in app.registered_commands if command.callback), "models", "bench"}
_OWN = {*_WORDS, "-h", "--help", "-V", "--version"}


def main() -> int:
    """The console script; returns the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))  # so that temporary files are removed
    return run(sys.argv[1:])


def _with_verb(given: list[str]) -> list[str]:
    """``tokodec IN [OUT]`` is short for the verb convert."""
    word = given[0]
    if word in _OWN:
        return given
    close = get_close_matches(word, _WORDS, n=1)
    if close and not Path(word).exists():
        raise InputError(f"no verb and no file is called {word}; did you mean tokodec {close[0]}?")
    return ["convert", *given]


def run(argv: Sequence[str]) -> int:
    """Run a command line, without the program's name; returns the exit code."""
    given = list(argv) or ["--help"]
    verbose = bool({"-v", "--verbose"} & set(given))
    with warnings.catch_warnings():
        if not verbose:
            warnings.simplefilter("ignore")  # libraries' talk; what matters to a user is an error of ours
        try:
            code = int(app(_with_verb(given), prog_name="tokodec", standalone_mode=False) or 0)
        except (KeyboardInterrupt, typer.Abort):
            code = INTERRUPTED
        except _UsageError as error:
            talk.say(f"tokodec: {error.format_message()} (see tokodec --help)")
            return InputError.exit_code
        except Exception as error:  # noqa: BLE001 - nobody should see a traceback who did not ask for it
            if verbose:
                talk.show(talk.trace_of(error))
            talk.say(f"tokodec: {talk.complaint(error)}")
            return talk.code_of(error)
    if code == INTERRUPTED:  # typer makes this of a keyboard interrupt by itself
        talk.say("tokodec: interrupted")
    return code


if __name__ == "__main__":
    sys.exit(main())
