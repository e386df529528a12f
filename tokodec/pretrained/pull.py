"""The authors' own weights of a model: fetched from the hub, verified, converted, and kept where ``load`` finds them.

The commit and the hash of a pulled file are remembered. A later pull takes the same commit, unless another revision is asked for, and
refuses content that is not what was remembered.
"""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from tokodec.catalogue import resolve
from tokodec.entry import Origin
from tokodec.errors import InputError, ModelNotFound, WeightsMismatch
from tokodec.licences import check
from tokodec.pretrained import cache, hub, store
from tokodec.pretrained.convert.origins import from_checkpoint
from tokodec.zoo import MODELS

_CHUNK = 1 << 20


def pull(name: str, *, revision: str | None = None, licence: str | None = None, tell: Callable[[str], None] = lambda _line: None) -> Path:
    """The folder of the converted weights of ``name``, which ``load(name)`` finds from then on.

    ``revision``: a branch, tag or commit of the hub; by default what was pulled before, else the one that the zoo names, else
    ``main``. ``licence``: a policy or an SPDX identifier that the weights must satisfy. ``tell`` is shown what happens, in lines.
    Raises ModelNotFound, LicenceRefused, WeightsMismatch, InputError.
    """
    full = resolve(name)
    origin = _origin(full)
    check(full, origin.licence, licence)
    before = cache.source(full)
    wanted = revision or (before.commit if before else origin.revision) or "main"
    remote = hub.look_up(origin.repo, origin.file, wanted)
    tell(f"{full}: {origin.file} of hub:{origin.repo} at {remote.commit[:12]}, {remote.size / 2**20:.1f} MiB, licence {origin.licence}")
    downloads = cache.folder(full) / "downloads"
    file = hub.download(remote, downloads)
    sha256 = _sha256(file)
    _verify(full, remote, sha256, origin, before)
    tell(f"{full}: SHA-256 {sha256}; converting")
    target = cache.folder(full) / cache.WEIGHTS
    store.save(from_checkpoint(full, file), target, name=full)
    of = cache.Source(
        repo=origin.repo,
        file=origin.file,
        commit=remote.commit,
        sha256=sha256,
        licence=origin.licence,
        converted_sha256=_sha256(target),
    )
    cache.keep(full, of)
    shutil.rmtree(downloads)
    return cache.folder(full)


def _origin(name: str) -> Origin:
    origin = MODELS[name].origin
    if origin is None:
        raise InputError(f"{name} has no public weights of its authors to pull")
    if not origin.repo:
        raise ModelNotFound(f"{name}: its authors do not publish on the hub; see its card, then: tokodec models convert {name} FILE")
    return origin


def _verify(name: str, remote: hub.Remote, sha256: str, origin: Origin, before: cache.Source | None) -> None:
    """Raise WeightsMismatch for content that is not what the zoo, the hub or an earlier pull say of it."""
    said = [("the zoo", origin.sha256), ("the hub", remote.sha256)]
    if before is not None and before.commit == remote.commit:
        said.append(("the earlier pull", before.sha256))
    for who, wanted in said:
        if wanted and wanted != sha256:
            raise WeightsMismatch(
                f"{remote.file} of hub:{remote.repo} has the SHA-256 {sha256}; {who} says {wanted}. Nothing was changed for {name}"
            )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            digest.update(data)
    return digest.hexdigest()
