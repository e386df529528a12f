"""Public weights of the Hugging Face hub: fetched, verified, converted, and kept in the cache, where ``load`` finds them."""

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from huggingface_hub.utils import WeakFileLock

from tokodec import licences
from tokodec.entry import Entry, Origin
from tokodec.errors import InputError, ModelNotFound, TokodecError, WeightsMismatch
from tokodec.pretrained import hub, pulled, store
from tokodec.pretrained.convert.origins import from_checkpoint
from tokodec.pretrained.hub import Remote
from tokodec.pretrained.pulled import Source
from tokodec.zoo import MODELS, newest

Tell = Callable[[str], None]


def _silent(_line: str) -> None:
    pass


def pull(name: str, *, revision: str | None = None, licence: str | None = None, force: bool = False, tell: Tell = _silent) -> str:
    """Bring the public weights of a model here, and return the name under which ``load`` finds them from now on.

    ``revision``: a commit, branch or tag; by default the one that our table names, else the commit of an earlier pull, else
    the newest. ``licence``: a policy or an SPDX identifier that the weights must satisfy. ``force``: fetch them although they
    are here. ``tell`` is told licence, size and progress, a line each.

    Raises ModelNotFound (no such model, no public weights on the hub, or the hub does not give them), LicenceRefused, InputError
    (weights that are in the package, a policy that there is none of), WeightsMismatch (other bytes than announced or remembered,
    or a checkpoint that does not fit), and TokodecError for a disk that does not take them.
    """
    full = newest(name, MODELS)
    origin = _origin(full, MODELS[full])
    licences.check(full, origin.licence, licence)
    before = _earlier(full, origin)
    remote = hub.find(origin.repo, origin.file, revision or origin.revision or (before.commit if before else "main"))
    known = _known(remote, origin, before)
    if remote.sha256:
        _check(remote, remote.sha256, known)
    tell(f"{full}: {origin.licence}, {_megabytes(remote.size)}, {remote.repo} at {remote.commit}")
    with _alone(pulled.home(full)):
        if not force and _here(full, origin, remote):
            tell(f"{full}: these weights are here already")
        else:
            _bring(full, remote, origin, known, tell)
    return full


def _origin(name: str, entry: Entry) -> Origin:
    """Where the public weights of an entry are on the hub. Raises ModelNotFound and InputError."""
    if entry.weights is not None:
        raise InputError(f"the weights of {name} are in the package: there is nothing to pull")
    if entry.origin is None:
        raise ModelNotFound(f"no public weights of {name} are known: see its card")
    if not entry.origin.repo:
        raise ModelNotFound(
            f"the weights of {name} are not on the hub: its card tells where they are; then tokodec models convert {name} FILE"
        )
    return entry.origin


def _earlier(name: str, origin: Origin) -> Source | None:
    """What an earlier pull of the same file remembers."""
    source = pulled.remembered(name)
    return source if source is not None and (source.repo, source.file) == (origin.repo, origin.file) else None


def _here(name: str, origin: Origin, remote: Remote) -> bool:
    source = _earlier(name, origin)
    return source is not None and source.commit == remote.commit and pulled.intact(name, source)


def _known(remote: Remote, origin: Origin, before: Source | None) -> dict[str, str]:
    """The checksums that the file must have, by who says so."""
    same = before is not None and before.commit == remote.commit
    known = {
        "our table has": origin.sha256.lower(),
        "the hub announces": "" if origin.sha256 else remote.sha256,
        "an earlier pull of this commit had": before.sha256 if before is not None and same else "",
    }
    return {whose: expected for whose, expected in known.items() if expected}


def _check(remote: Remote, found: str, known: Mapping[str, str]) -> None:
    """Compare a checksum, announced or of the bytes that came, with those that are known. Raises WeightsMismatch."""
    for whose, expected in known.items():
        if expected != found:
            where = f"{remote.file} of {remote.repo} at {remote.commit}"
            raise WeightsMismatch(f"{where} is not what it should be: its SHA-256 is {found}, {whose} {expected}")


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """In a folder that is there, while no other process pulls into it."""
    with ExitStack() as lock:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.enter_context(WeakFileLock(folder / ".lock"))
        except OSError as error:
            raise TokodecError(f"{folder}: cannot be written to: {error.strerror or error}") from None
        yield


def _bring(name: str, remote: Remote, origin: Origin, known: Mapping[str, str], tell: Tell) -> None:
    """Fetch, verify, convert, remember. What arrived stays only where pulling again can go on from it."""
    arriving = _arriving(name, remote)
    hub.fetch(remote, arriving, _percent(name, remote.size, tell))
    found = pulled.sha256(arriving)
    try:
        _check(remote, found, known)
        _convert(name, arriving)
    except (InputError, WeightsMismatch):
        arriving.unlink()
        raise
    converted = pulled.sha256(pulled.weights(name))
    source = {"repo": remote.repo, "file": remote.file, "commit": remote.commit, "sha256": found, "licence": origin.licence}
    pulled.remember(name, Source(**source, converted_sha256=converted))
    arriving.unlink()


def _arriving(name: str, remote: Remote) -> Path:
    """Where the authors' file is put together. What another commit left unfinished is removed."""
    folder, end = pulled.home(name), f"-{Path(remote.file).name}"
    path = folder / (remote.commit + end)
    for stale in folder.iterdir():
        if stale.name.endswith(end) and stale != path:
            stale.unlink()
    return path


def _convert(name: str, checkpoint: Path) -> None:
    model = from_checkpoint(name, checkpoint)
    try:
        store.save(model, pulled.weights(name), name=name)
    except OSError as error:
        raise TokodecError(f"{pulled.weights(name)}: cannot write: {error.strerror or error}") from None


def _megabytes(size: int | None) -> str:
    return "of unknown size" if size is None else f"{size / 2**20:.1f} MiB"


def _percent(name: str, size: int | None, tell: Tell) -> Callable[[int], None]:
    """Tells every tenth of a download once."""
    told = 0

    def progress(have: int) -> None:
        nonlocal told
        tenth = 10 * have // size if size else 0
        if tenth > told:
            told = tenth
            tell(f"{name}: {10 * tenth} % of {_megabytes(size)}")

    return progress
