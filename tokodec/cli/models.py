"""tokodec models list | info | verify | pull | convert. The first three read only files, without torch and without a network."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from typer import Argument, Option, Typer

from tokodec import catalogue
from tokodec.cli import talk
from tokodec.errors import CorruptFile, NoInput, OutputExists

models = Typer(help="List models and their weights.", no_args_is_help=True, rich_markup_mode=None)

Json = Annotated[bool, Option("--json", help="Print one JSON object a line.")]


@models.command("list")
def list_(
    pattern: Annotated[str, Argument(metavar="[PATTERN]", help="A shell pattern, such as 'hyper*'.")] = "*",
    *,
    kind: Annotated[str | None, Option(metavar="KIND", help="codec, discrete, continuous or reducer.")] = None,
    licence: Annotated[str | None, Option(metavar="SPDX", help="Of the weights, or 'permissive'.")] = None,
    pretrained: Annotated[bool, Option("--pretrained", help="Only models whose trained weights are in the package.")] = False,
    json: Json = False,
) -> int:
    """List the models of the zoo."""
    names = catalogue.list_models(pattern, kind=kind, licence=licence, pretrained=pretrained or None)
    if not names:
        raise NoInput("no model matches")
    rows = [catalogue.model_info(name) for name in names]
    width = max(len(name) for name in names)
    for info in rows:
        if json:
            talk.put_json(info)
        else:
            weights = "trained" if info.pretrained else "test weights" if info.bytes else "public weights" if info.origin else "no weights"
            talk.put(f"{info.name:{width}}  {info.kind:10}  {info.media:5}  {info.params / 1e6:8.2f} M  {weights}")
    return 0


@models.command()
def info(
    name: Annotated[str, Argument(metavar="NAME", help="With or without its version.")],
    *,
    json: Json = False,
) -> int:
    """Describe one model: what it is, and where its weights come from."""
    model = catalogue.model_info(name)
    row = catalogue.ledger().get(f"{model.name}.safetensors")
    if json:
        talk.put_json({**model, "ledger": dict(row) if row else None})
        return 0
    for key, value in {**model, **(row or {})}.items():
        talk.put(f"{key:16}{value}")
    return 0


@models.command()
def verify(*, json: Json = False) -> int:
    """Compare the weights in the package with the checksums of the ledger."""
    error: CorruptFile | None = None
    for file, fault in faults():
        if json:
            talk.put_json({"file": file, "ok": fault is None, "error": fault})
        else:
            talk.put(f"{file}: {fault or 'ok'}")
        if fault is not None:
            error = CorruptFile(f"{file}: {fault}; install tokodec again")
    if error is not None:
        raise error
    return 0


@models.command()
def pull(
    name: Annotated[str, Argument(metavar="NAME", help="A model with public weights on the hub.")],
    *,
    revision: Annotated[
        str | None, Option(metavar="REV", help="A branch, tag or commit; by default what was pulled before, else main.")
    ] = None,
    licence: Annotated[str | None, Option(metavar="SPDX", help="Refuse others; an identifier, or 'permissive'.")] = None,
    force: Annotated[bool, Option("--force", "-f", help="Fetch weights again that are here.")] = False,
) -> int:
    """Fetch the authors' own weights of a model from the hub.

    They are verified, converted and kept in TOKODEC_HOME (by default ~/.cache/tokodec). Prints the name, which works everywhere from
    then on. A pull that was broken off goes on where it stopped.
    """
    from tokodec.pretrained.pull import pull as fetch

    talk.put(fetch(name, revision=revision, licence=licence, force=force, tell=talk.say))
    return 0


@models.command()
def convert(
    name: Annotated[str, Argument(metavar="NAME", help="The architecture, such as mean_scale_128: see its card.")],
    file: Annotated[Path, Argument(metavar="FILE", help="A checkpoint of CompressAI or DCVC: .pth, .pth.tar or .safetensors.")],
    *,
    output: Annotated[
        Path | None, Option("--output", "-o", metavar="FOLDER", help="Where the weights go; by default a folder NAME.")
    ] = None,
    force: Annotated[bool, Option("--force", "-f", help="Write over weights that are there.")] = False,
) -> int:
    """Bring weights of CompressAI or DCVC into tokodec's form.

    Prints what to say for it wherever a model is asked for: dir:FOLDER.
    """
    from tokodec.pretrained import store
    from tokodec.pretrained.convert.origins import from_checkpoint

    full = catalogue.resolve(name)
    folder = output or Path(full)
    target = folder / "model.safetensors"
    if target.exists() and not force:
        raise OutputExists(f"{target} is there already; --force writes over it")
    model = from_checkpoint(full, file)
    folder.mkdir(parents=True, exist_ok=True)
    store.save(model, target, name=full)
    talk.put(f"dir:{folder}")
    return 0


def faults() -> Iterator[tuple[str, str | None]]:
    """Each weights file of the ledger, and what is wrong with it."""
    for row in catalogue.ledger().values():
        yield row.file, _fault(catalogue.folder("pretrained") / row.file, row)


def _fault(path: Path, row: catalogue.LedgerRow) -> str | None:
    try:
        data = path.read_bytes()
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    if hashlib.sha256(data).hexdigest() != row.sha256:
        return "its checksum is not the ledger's"
    return None
