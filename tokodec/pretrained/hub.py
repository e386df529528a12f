"""The Hugging Face hub, through its own client: which commit, which file, and its bytes. Every failure is an error of ours.

The client keeps no part of a download that was broken off, so that the loop which goes on where it stopped stands here.
"""

import os
import re
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub.errors as hub_errors
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

from tokodec.errors import ModelNotFound, TokodecError

SECONDS = 30.0
"""Without a byte, after which a request has failed."""
TRIES = 5
"""Failures in a row, without a byte between them, after which a download has."""
PAUSE = 1.0
"""Seconds between two tries."""

_HTTPError: type[Exception] = next(base for base in hub_errors.HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")
"""The base of all that its HTTP library raises; which library that is depends on the version of the client."""


@dataclass(frozen=True, kw_only=True)
class Remote:
    """One file of one commit. ``size`` and ``sha256`` as the hub tells them; None and empty where it does not."""

    repo: str
    file: str
    commit: str
    size: int | None
    sha256: str


def find(repo: str, file: str, revision: str) -> Remote:
    """What the hub says of a file, with the revision resolved to a commit. Raises ModelNotFound."""
    with _told(repo, file, revision):
        commit = HfApi(endpoint=_endpoint()).model_info(repo, revision=revision, timeout=SECONDS).sha
        if commit is None or not re.fullmatch("[0-9a-f]{40}", commit):  # it becomes part of a file name
            raise ModelNotFound(f"the hub does not tell which commit {revision} of {repo} is")
        found = get_hf_file_metadata(_url(repo, file, commit), timeout=SECONDS)
        announced = found.etag if found.etag and re.fullmatch("[0-9a-f]{64}", found.etag) else ""
        return Remote(repo=repo, file=file, commit=commit, size=found.size, sha256=announced)


def fetch(remote: Remote, path: Path, progress: Callable[[int], None]) -> None:
    """Bring a file to ``path``; what lies there is its beginning, from an attempt that was broken off.

    ``progress`` is told how many bytes are there. Whether they are the right ones is for the caller to check. Raises
    ModelNotFound when the hub refuses or cannot be reached, and TokodecError for a disk that does not take the file.
    """
    failures = 0
    with _told(remote.repo, remote.file, remote.commit):
        while not _whole(remote, path):
            before = _size(path)
            error = _attempt(remote, path, progress)
            if error is None and remote.size is None:
                return
            failures = 0 if _size(path) > before else failures + 1
            if error is not None and (failures >= TRIES or not _may_pass(error)):
                raise error
            if failures >= TRIES:
                raise ModelNotFound(f"the hub does not send all of {remote.file} of {remote.repo}")
            time.sleep(PAUSE if error is not None else 0)


def _attempt(remote: Remote, path: Path, progress: Callable[[int], None]) -> Exception | None:
    """What broke it off, if anything."""
    try:
        _continue(remote, path, progress)
    except _HTTPError as error:
        return error
    return None


def _continue(remote: Remote, path: Path, progress: Callable[[int], None]) -> None:
    """One request for what is missing, written as it comes."""
    have = _size(path) if remote.size is not None else 0  # else nobody could tell whether it is all
    # Bytes as they are, not compressed on the way: their number is what a broken download goes on from.
    headers = {**build_hf_headers(), "Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    url = _url(remote.repo, remote.file, remote.commit)
    with get_session().stream("GET", url, headers=headers, timeout=SECONDS, follow_redirects=True) as response:
        if response.status_code == 416:
            path.unlink(missing_ok=True)  # the hub has less than it announced
        hf_raise_for_status(response)
        have = have if response.status_code == 206 else 0
        with _disk(path), path.open("ab") as file:  # what the connection raises in here is no OSError
            file.truncate(have)
            for piece in response.iter_bytes():
                file.write(piece)
                have += len(piece)
                progress(have)
                if remote.size is not None and have > remote.size:
                    return


def _whole(remote: Remote, path: Path) -> bool:
    return remote.size is not None and _size(path) >= remote.size


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _endpoint() -> str | None:
    """Of the environment as it is now; the client reads it only once."""
    return (os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None


def _url(repo: str, file: str, commit: str) -> str:
    return hf_hub_url(repo, file, revision=commit, endpoint=_endpoint())


def _status(error: Exception) -> int:
    response: Any = getattr(error, "response", None)
    return 0 if response is None else int(response.status_code)


def _may_pass(error: Exception) -> bool:
    """Whether it is worth to try again: a broken connection, a hub that is busy."""
    return _status(error) in {0, 408, 429} or _status(error) >= 500


@contextmanager
def _disk(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise TokodecError(f"{path}: cannot write: {error.strerror or error}") from None


@contextmanager
def _told(repo: str, file: str, revision: str) -> Generator[None]:
    """Errors of the client as errors of ours, in one line. An answer that is not the hub's is a ValueError of its parsers."""
    try:
        yield
    except ModelNotFound:
        raise
    except (_HTTPError, hub_errors.OfflineModeIsEnabled, ValueError) as error:
        raise ModelNotFound(_words(error, repo, file, revision)) from None


def _words(error: Exception, repo: str, file: str, revision: str) -> str:
    status = _status(error)
    match error:
        case hub_errors.GatedRepoError():
            return f"{repo} is gated: accept its terms at https://huggingface.co/{repo}, then hf auth login, and pull again"
        case hub_errors.RevisionNotFoundError():
            return f"{repo} has no revision {revision}"
        case hub_errors.EntryNotFoundError():
            return f"{repo} has no file {file} at {revision}"
        case hub_errors.RepositoryNotFoundError():
            return f"the hub has no repository {repo}, or shows it only to some: hf auth login"
        case _ if status in {401, 403}:
            return f"the hub does not give {repo} to you ({status}): its terms may have to be accepted; hf auth login"
        case _ if status:
            return f"the hub does not give {file} of {repo} at {revision} (HTTP {status})"
        case _:
            reason = str(error).partition("\n")[0] or type(error).__name__
            return f"the hub cannot be reached for {repo} ({reason:.100}); what arrived is kept, so that pulling again goes on"
