"""A hub of one file on this machine: what the real client asks of the real one, answered over HTTP."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40


@dataclass
class Hub:
    """``repo`` with ``file``, whose bytes are ``data`` at every revision. ``cut``: how many bytes the next download gives, then no more."""

    repo: str
    file: str
    data: bytes
    commit: str = COMMIT
    revisions: tuple[str, ...] = ("main", COMMIT)
    status: int = 200
    lfs: str | None = None
    cut: int | None = None
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and Range of every request."""
    sent: int = 0
    """Bytes of the file."""

    @property
    def sha256(self) -> str:
        return self.lfs or hashlib.sha256(self.data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, *_: object) -> None: ...

    def _answer(self, *, body: bool) -> None:
        hub = self.hub
        hub.asked.append((self.command, self.path, self.headers.get("Range", "")))
        api = re.match(rf"/api/models/{hub.repo}(?:/revision/([^?]+))?(\?|$)", self.path)
        resolve = re.match(rf"/{hub.repo}/resolve/([^/]+)/{re.escape(hub.file)}$", self.path)
        if hub.status != 200:
            code = {401: "RepoNotFound", 403: "GatedRepo", 404: "RepoNotFound"}.get(hub.status, "")
            self._send(hub.status, b"{}", {"X-Error-Code": code, "X-Error-Message": "refused"}, body=body)
        elif api and (api[1] or "main") in hub.revisions:
            row = {"rfilename": hub.file, "size": len(hub.data), "lfs": {"sha256": hub.sha256, "size": len(hub.data), "pointerSize": 134}}
            info = {
                "_id": "1",
                "id": hub.repo,
                "sha": hub.commit,
                "siblings": [row],
                "private": False,
                "downloads": 0,
                "likes": 0,
                "tags": [],
            }
            self._send(200, json.dumps(info).encode(), {"Content-Type": "application/json"}, body=body)
        elif resolve and resolve[1] in hub.revisions:
            headers = {
                "X-Repo-Commit": hub.commit,
                "X-Linked-Size": str(len(hub.data)),
                "X-Linked-Etag": f'"{hub.sha256}"',
                # Another host, as large files of the real one are.
                "Location": f"http://localhost:{self.headers['Host'].rpartition(':')[2]}/cdn/{hub.sha256}",
            }
            self._send(302, b"", headers, body=body)
        elif self.path.startswith("/cdn/"):
            self._file(body=body)
        else:
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound" if api or resolve else "EntryNotFound"}, body=body)

    def _file(self, *, body: bool) -> None:
        hub = self.hub
        match = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(match[1]) if match else 0
        part = hub.data[start:]
        headers = {"ETag": f'"{hub.sha256}"', "Accept-Ranges": "bytes"}
        if match:
            headers["Content-Range"] = f"bytes {start}-{len(hub.data) - 1}/{len(hub.data)}"
        self.send_response(206 if match else 200)
        for name, value in {**headers, "Content-Length": str(len(part))}.items():
            self.send_header(name, value)
        self.end_headers()
        if not body:
            return
        if hub.cut is not None:
            part, hub.cut = part[: hub.cut], None
            self.close_connection = True
        hub.sent += len(part)
        self.wfile.write(part)

    def _send(self, status: int, data: bytes, headers: dict[str, str], *, body: bool) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)


@contextmanager
def serving(hub: Hub) -> Iterator[str]:
    """The address of a server of ``hub`` on this machine."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
