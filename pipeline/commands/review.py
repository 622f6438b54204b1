"""`genga review`: a page to look through what dedup kept and dropped, and to override it, served to this machine only.

Other pages in the same browser, other users of the machine and names that resolve to it (DNS rebinding) are kept out by a
secret in the address and by the Host header. The server reads only files listed in the manifest of data/dedup, and writes only
data/keep.txt and data/drop.txt.
"""

import hmac
import json
import secrets
import socketserver
import sys
import threading
import webbrowser
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.commands.review_state import Review
from pipeline.core.errors import UserError
from pipeline.frames import overrides
from pipeline.frames.overrides import Override
from pipeline.params.data import DedupParams
from pipeline.web.render import STATIC, render

HOST = "127.0.0.1"
MAX_BODY_BYTES = 1 << 20
_STATIC_TYPES = {"style.css": "text/css; charset=utf-8", "review.js": "text/javascript; charset=utf-8"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class OverrideRequest(BaseModel):
    """The body of a POST request: pictures, and what to do with them (null: leave them to dedup)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ids: Annotated[list[str], Field(min_length=1)]
    override: Override | None


class _Refusal(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Response(NamedTuple):
    body: bytes
    type: str
    max_age_s: int = 0


def _json(value: object) -> _Response:
    return _Response(json.dumps(value, ensure_ascii=False).encode(), "application/json")


class Server(ThreadingHTTPServer):
    """Serves a review on a free port of the loopback interface, under an address with a secret (`url`)."""

    daemon_threads = True
    block_on_close = False  # browsers keep connections open

    def __init__(self, review: Review) -> None:
        self.review = review
        self.token = secrets.token_urlsafe(24)
        super().__init__((HOST, 0), _Handler)
        self.hosts = {f"{name}:{self.server_port}" for name in (HOST, "localhost")}
        self.url = f"http://{HOST}:{self.server_port}/{self.token}/"

    def server_bind(self) -> None:
        """Bind without looking up the machine's name, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore connections that the browser has closed."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "genga", ""
    timeout = 60

    def do_GET(self) -> None:
        self._respond(self._get)

    def do_POST(self) -> None:
        self._respond(self._post)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _respond(self, handle: Callable[[list[str]], _Response]) -> None:
        status = 200
        try:
            response = handle(self._path())
        except _Refusal as refusal:
            # What follows on this connection may be a body that was not read: close it.
            status, response, self.close_connection = refusal.status, _json({"error": str(refusal)}), True
        except UserError as error:
            status, response = 409, _json({"error": str(error)})
        self.send_response(status)
        self.send_header("Content-Type", response.type)
        self.send_header("Content-Length", str(len(response.body)))
        self.send_header("Cache-Control", f"private, max-age={response.max_age_s}" if response.max_age_s else "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.body)

    def _path(self) -> list[str]:
        """Check the host and the secret, and return the parts of the path behind the secret."""
        if self.headers.get_all("Host", []) not in [[host] for host in self.server.hosts]:
            raise _Refusal(403, "open the address that genga review printed")
        parts = self.path.partition("?")[0].split("/")
        if len(parts) < 3 or not hmac.compare_digest(parts[1].encode(), self.server.token.encode()):
            raise _Refusal(404, "open the address that genga review printed: it ends in a secret and a slash")
        return [unquote(part) for part in parts[2:]]

    def _get(self, path: list[str]) -> _Response:
        review = self.server.review
        match path:
            case [""]:
                return _Response(render("review.html").encode(), "text/html; charset=utf-8")
            case [name] if name in _STATIC_TYPES:
                return _Response((STATIC / name).read_bytes(), _STATIC_TYPES[name])
            case ["state"]:
                return _json(review.state())
            case ["thumb" | "large" as size, name] if review.has(name):
                return _Response(review.picture(name, size), "image/jpeg", 600)
        raise _Refusal(404, "not found")

    def _post(self, path: list[str]) -> _Response:
        if path != ["override"]:
            raise _Refusal(404, "not found")
        if self.headers.get("Origin", f"http://{self.headers['Host']}") != f"http://{self.headers['Host']}":
            raise _Refusal(403, "requests from other pages are refused")
        if self.headers.get_content_type() != "application/json":
            raise _Refusal(415, "send JSON")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()):
            raise _Refusal(411, "send a Content-Length")
        if len(length) > 9 or int(length) > MAX_BODY_BYTES:
            raise _Refusal(413, f"send at most {MAX_BODY_BYTES} bytes")
        try:
            request = OverrideRequest.model_validate_json(self.rfile.read(int(length)))
        except ValidationError as error:
            raise _Refusal(400, f"malformed request: {error.errors()[0]['msg']}") from None
        unknown = [name for name in request.ids if not self.server.review.has(name)]
        if unknown:
            raise _Refusal(400, f"there is no picture {unknown[0]}: reload the page")
        return _json(self.server.review.override(request.ids, request.override))


def serve(data: Path, params: DedupParams, open_browser: bool) -> None:
    """Serve the page until interrupted (Ctrl-C); then print how many overrides dedup has still to apply.

    Raises:
        UserError: data/dedup is missing, or a list of overrides is malformed.
    """
    review = Review(data, params)
    with Server(review) as server:
        print(f"Review at {server.url}\nPress Ctrl-C to stop.", flush=True)
        if open_browser:
            # In a thread, because a text browser blocks until it is closed.
            threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    count = review.pending()
    lists = " and ".join(str(overrides.list_path(data, override)) for override in overrides.OVERRIDES)
    print(f"{count} changed, saved in {lists}; next: dvc repro report" if count else "nothing changed")
