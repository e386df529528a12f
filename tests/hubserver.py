"""A hub of one repository in this process, as the client of the real one knows it: http, on this machine alone."""

import hashlib
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import huggingface_hub
import pytest
import torch

from tokodec import catalogue
from tokodec.catalogue import ModelInfo, model_info
from tokodec.entry import Origin
from tokodec.pretrained import hub as client
from tokodec.pretrained.convert import vqgan
from tokodec.tokenizers.vqgan import VQGAN
from tokodec.zoo import MODELS, create

NAME = "vqgan_public"
REPO, FILE = "someone/tokenizer", "models/last.ckpt"
COMMITS = ("a" * 40, "b" * 40)
ORIGIN = Origin(repo=REPO, file=FILE, licence="MIT")


def register(monkeypatch: pytest.MonkeyPatch, origin: Origin | None = ORIGIN, name: str = NAME) -> None:
    """An entry like vqgan_test, without weights in the package."""
    monkeypatch.setitem(MODELS, name, replace(MODELS["vqgan_test"], weights=None, origin=origin))  # type: ignore[arg-type]
    row = ModelInfo(**{**model_info("vqgan_test"), "name": name, "bytes": None})
    monkeypatch.setitem(catalogue.zoo(), name, row)  # type: ignore[arg-type]


def checkpoint(seed: int) -> bytes:
    """What its authors would publish."""
    torch.manual_seed(seed)
    model = create("vqgan_test")
    assert isinstance(model, VQGAN)
    names, file = vqgan.names_of(model), io.BytesIO()
    torch.save({"state_dict": {names.upstream(own): p.detach().clone() for own, p in model.named_parameters()}}, file)
    return file.getvalue()


@dataclass
class Hub:
    """What it has, what it does wrong, and what was asked of it."""

    address: str = ""
    contents: dict[str, bytes] = field(default_factory=dict)
    """Of the one file, by commit."""
    branches: dict[str, str] = field(default_factory=lambda: {"main": COMMITS[0]})
    sent: dict[str, bytes] = field(default_factory=dict)
    """By commit, what is sent in place of what is announced."""
    lfs: bool = True
    """Whether the checksum is announced."""
    refusal: tuple[int, str] | None = None
    """Status and error code of every answer about the file."""
    cuts: list[int] = field(default_factory=list)
    """After how many bytes connections are cut, one after the other."""
    busy: int = 0
    """How many requests for bytes are answered with 503 at first."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    tokens_at_storage: list[str] = field(default_factory=list)
    served: int = 0


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(self.path.partition("?")[0])
        self.hub.requests.append((self.command, path))
        if path.startswith("/api/models/"):
            self._info(path.removeprefix("/api/models/"))
        elif path.startswith(f"/{REPO}/resolve/"):
            self._resolve(path.removeprefix(f"/{REPO}/resolve/"))
        elif path.startswith("/storage/"):
            self._store(path.removeprefix("/storage/"))
        else:
            self._say(404)

    def _info(self, path: str) -> None:
        repo, _, revision = path.partition("/revision/")
        commit = self._commit(revision or "main")
        if repo != REPO:
            self._say(401, {"X-Error-Code": "RepoNotFound"})
        elif commit is None:
            self._say(404, {"X-Error-Code": "RevisionNotFound"})
        else:
            self._say(200, {"Content-Type": "application/json"}, json.dumps({"id": REPO, "sha": commit}).encode())

    def _resolve(self, path: str) -> None:
        revision, _, file = path.partition("/")
        commit = self._commit(revision)
        if self.hub.refusal:
            status, code = self.hub.refusal
            self._say(status, {"X-Error-Code": code} if code else {})
        elif commit is None:
            self._say(404, {"X-Error-Code": "RevisionNotFound"})
        elif file != FILE:
            self._say(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        else:
            data = self.hub.contents[commit]
            linked = hashlib.sha256(data).hexdigest() if self.hub.lfs else hashlib.sha1(data).hexdigest()
            # Bytes come from a host of another name, where tokens of the hub have no business.
            storage = self.hub.address.replace("127.0.0.1", "localhost")
            more = {"X-Linked-Etag": f'"{linked}"', "X-Linked-Size": str(len(data))}
            self._say(302, {"X-Repo-Commit": commit, "ETag": '"pointer"', "Location": f"{storage}/storage/{commit}", **more})

    def _store(self, commit: str) -> None:
        if "Authorization" in self.headers:
            self.hub.tokens_at_storage.append(self.headers["Authorization"])
        if self.hub.busy:
            self.hub.busy -= 1
            self._say(503)
            return
        data, first = self.hub.sent.get(commit, self.hub.contents[commit]), 0
        asked = self.headers.get("Range")
        if asked:
            self.hub.ranges.append(asked)
            first = int(asked.removeprefix("bytes=").rstrip("-"))
        if first >= len(data):
            self._say(416, {"Content-Range": f"bytes */{len(data)}"})
            return
        more = {"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"} if asked else {}
        self._say(206 if asked else 200, more, data[first:], cut=self.hub.cuts.pop(0) if self.hub.cuts else None)

    def _commit(self, revision: str) -> str | None:
        commit = self.hub.branches.get(revision, revision)
        return commit if commit in self.hub.contents else None

    def _say(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"", *, cut: int | None = None) -> None:
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        part = body[:cut]
        self.wfile.write(part)
        if self.path.startswith("/storage/"):
            self.hub.served += len(part)
        if cut is not None:
            self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that goes away in the middle is no news here."""


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Hub]:
    """A hub with two commits of the file, which the client takes for the real one until the block ends, and an empty cache."""
    hub = Hub(contents=dict(zip(COMMITS, map(checkpoint, (1, 2)), strict=True)))
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    given = {"HF_ENDPOINT": hub.address, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": "hf_secret", "NO_PROXY": "127.0.0.1,localhost"}
    for variable, value in {**given, "TOKODEC_HOME": str(cache)}.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("TOKODEC_LICENCE_POLICY", raising=False)
    monkeypatch.setattr(client, "PAUSE", 0.0)
    register(monkeypatch)
    try:
        yield hub
    finally:
        huggingface_hub.close_session()
        server.shutdown()
        server.server_close()
        thread.join()
