"""Files of the Hugging Face hub: which commit a revision is, what a file's hash should be, and the file itself, resumed if need be."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tokodec.errors import ModelNotFound, TokodecError

if TYPE_CHECKING:
    from huggingface_hub import HfApi


_CLIENTS = ("httpx", "httpx2", "httpcore", "httpcore2")
"""What the hub's client speaks HTTP with, whichever it is; errors of connections are theirs."""


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A file at a commit. ``sha256`` is empty where the hub keeps the file without a hash of that kind."""

    repo: str
    file: str
    commit: str
    sha256: str
    size: int


def look_up(repo: str, file: str, revision: str) -> Remote:
    """What the hub says of a file at a branch, tag or commit. Raises ModelNotFound, saying why it cannot be had."""
    with _explained(repo, file, revision):
        info = _api().model_info(repo, revision=revision, files_metadata=True)
    found = next((sibling for sibling in info.siblings or [] if sibling.rfilename == file), None)
    if found is None or info.sha is None:
        raise ModelNotFound(f"hub:{repo} has no file {file} at {revision}")
    return Remote(repo=repo, file=file, commit=info.sha, sha256=found.lfs.sha256 if found.lfs else "", size=found.size or 0)


def download(remote: Remote, into: Path) -> Path:
    """The file, below ``into``; what an earlier attempt left there is not fetched again. Raises ModelNotFound."""
    from huggingface_hub import hf_hub_download  # noqa: PLC0415  slow to import, and needed for the hub alone

    with _explained(remote.repo, remote.file, remote.commit):
        return Path(hf_hub_download(remote.repo, remote.file, revision=remote.commit, cache_dir=into, endpoint=_endpoint()))


def _api() -> "HfApi":
    from huggingface_hub import HfApi  # noqa: PLC0415  as above

    return HfApi(endpoint=_endpoint())


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


@contextmanager
def _explained(repo: str, file: str, revision: str) -> Generator[None]:
    """Errors of the hub's client in a line of ours."""
    from huggingface_hub import errors as hub  # noqa: PLC0415  as above

    place = f"hub:{repo}"
    # The first that fits counts: later ones are more general.
    reasons: tuple[tuple[type[Exception], str], ...] = (
        (hub.GatedRepoError, "is gated: accept its terms on its page, then log in with: hf auth login"),
        (hub.RepositoryNotFoundError, "is not there, or is private"),
        (hub.RevisionNotFoundError, f"has no revision {revision}"),
        (hub.OfflineModeIsEnabled, "cannot be asked: HF_HUB_OFFLINE is set"),
        (hub.LocalEntryNotFoundError, ""),
        (hub.EntryNotFoundError, f"has no file {file} at {revision}"),
        (hub.HFValidationError, ""),
        (hub.HfHubHTTPError, ""),
        (hub.FileMetadataError, ""),
        (OSError, ""),
    )
    try:
        yield
    except TokodecError:
        raise
    except Exception as error:
        reason = next((text for kind, text in reasons if isinstance(error, kind)), None)
        client = type(error).__module__.partition(".")[0] in _CLIENTS
        if reason is None and not client:
            raise
        raise ModelNotFound(f"{place} {reason or f'cannot be had: {_line(error)}'}") from None


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
