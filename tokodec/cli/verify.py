"""tokodec verify: whether files are whole. Needs neither weights nor torch, unless it is to decode."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from tokodec.cli import talk
from tokodec.cli.batch import shared_code
from tokodec.cli.options import Computing, Selection
from tokodec.cli.paths import find
from tokodec.cli.streams import read_tkd, shown
from tokodec.entropy import layerplan, tileplan
from tokodec.entropy.container import TkdFile, unpack
from tokodec.errors import CorruptFile


def verify(
    inputs: Annotated[list[str] | None, Argument(metavar="FILE...", help=".tkd files, folders of them, or - for stdin.")] = None,
    *,
    decode: Annotated[bool, Option("--decode", help="Also decode: symbols against their checksum, then the picture.")] = False,
    json: Annotated[bool, Option("--json", help="Print one JSON object a file.")] = False,
    quiet: Annotated[bool, Option("--quiet", help="Say nothing of files that are whole.")] = False,
    selection: Selection,
    computing: Computing,
) -> int:
    """Check that .tkd files are whole.

    With --decode, also that this machine makes the very symbols that were encoded.
    """
    sources = find(inputs or [], selection, (".tkd",))
    test = _decoding(computing) if decode else _reading
    errors: list[Exception | None] = []
    for source in sources:
        error = _failure(test, source.path)
        errors.append(error)
        name = shown(source.path)
        said = None if error is None else talk.complaint(error, name)
        if json:
            talk.put_json({"file": name, "ok": error is None, "error": said})
        elif said is None and not quiet:
            talk.put(f"{name}: ok")
        if said is not None:
            talk.say(f"tokodec: {said}")
    return shared_code((talk.code_of(error) for error in errors if error is not None), len(sources))


def _failure(test: Callable[[bytes], object], path: Path | None) -> Exception | None:
    try:
        test(read_tkd(path))
    except Exception as error:  # noqa: BLE001 - one bad file must not stop the others
        return error
    return None


def _reading(data: bytes) -> TkdFile:
    file = unpack(data)
    tileplan.plan_of(file)
    plan = layerplan.plan_of(file)
    if plan is not None and file.lost:
        there = len(file.payloads)
        raise CorruptFile(f"not whole: {there} of {len(plan.layers)} layers are there, which decode ({file.lost})")
    return file


def _decoding(computing: Computing) -> Callable[[bytes], object]:
    from tokodec.files import Named, decode

    machine = computing.machine()
    return lambda data: _reading(data) and decode(data, Named(), machine)
