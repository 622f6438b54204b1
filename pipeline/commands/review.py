"""`genga review`: a page on which a person sees what dedup kept and dropped, and overrules it.

A server of the standard library, on the loopback interface alone. Other pages open in the same browser, other users of the
machine and names that resolve to it are kept out by a secret in the address and by the Host header. It reads no path but those
in data/dedup's manifest, and writes no file but data/keep.txt and data/drop.txt.
"""

from __future__ import annotations

import hmac
import json
import secrets
import socketserver
import sys
import threading
import webbrowser
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.frames import overrides
from pipeline.frames.overrides import Override
from pipeline.media import arrays, images
from pipeline.params.data import DedupParams

HOST = "127.0.0.1"
SIDES_PX = {"thumb": 320, "large": 1600}
MAX_BODY_BYTES = 1 << 20
MAX_CACHE_BYTES = 96 << 20  # some 6,000 thumbnails
_DECODERS = 2  # pictures decoded at once: a photograph may take 300 MB

# What a picture was measured by, when that is what decided: the score, the parameter it is held against, and how.
_DECIDED: Mapping[str, tuple[str, str, str]] = {
    "credits": ("lettering", "credits_lettering", "≥"),
    "title": ("title_lines", "title_lines", "≥"),
    "dark": ("luma_p95", "dark_luma", "≤"),
    "blank": ("luma_std", "blank_std", "≤"),
    "blurred": ("sharpness", "blur_sharpness", "≤"),
}
_GROUPS = {
    "kept": ("Kept", "In the data set."),
    "near_duplicate": ("Near-duplicates", "Each beside the sharper picture that is kept instead."),
    "credits": ("Credits", "Nearly all edges are thin bright lettering."),
    "title": ("Titles", "Lettering stands over the picture's middle."),
    "dark": ("Dark", "Even the brightest parts are dark."),
    "blank": ("Blank", "Hardly anything to see."),
    "blurred": ("Blurred", "No sharp edge."),
    "by_hand": ("Dropped by hand", "Named in data/drop.txt when dedup last ran."),
}
_TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
_PAGES = {"": "review.html", "review.css": "review.css", "review.js": "review.js"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


# What the page is told


def groups(rows: Sequence[Row]) -> list[dict[str, str]]:
    """The groups that pictures fall into, in the page's order; a reason that has no words here is shown by its name."""
    names = dict.fromkeys([*_GROUPS, *sorted({row.reason or "kept" for row in rows})])
    titles = {name: _GROUPS.get(name, (name.replace("_", " ").capitalize(), "")) for name in names}
    return [{"name": name, "title": title, "text": text} for name, (title, text) in titles.items()]


def decisive(row: Row, rows: Mapping[str, Row], params: DedupParams) -> str:
    """Describe the score that decided on a picture; `rows` are all rows by id."""
    if row.reason is not None and row.reason in _DECIDED:
        score, limit, sign = _DECIDED[row.reason]
        return f"{score} {row.scores.get(score, float('nan')):g} {sign} {getattr(params, limit):g}"
    own = row.scores.get("sharpness")
    if own is None:
        return ""
    original = rows.get(row.duplicate_of or "")
    return f"sharpness {own:g}" + (
        "" if original is None else f", kept picture {original.scores.get('sharpness', float('nan')):g}"
    )


def pending(rows: Sequence[Row], verdicts: Mapping[str, Override]) -> int:
    """How many pictures the next run of dedup will judge otherwise, as far as can be told."""

    def waits(row: Row) -> bool:
        verdict = verdicts.get(row.id)
        return row.reason is not None if verdict == "keep" else (row.reason == "by_hand") != (verdict == "drop")

    return sum(map(waits, rows))


class Decision(BaseModel):
    """What the page sends."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ids: Annotated[list[str], Field(min_length=1)]
    verdict: Override | None


class Review:
    """The pictures of a project's data/dedup and the verdicts on them, for many threads at once."""

    def __init__(self, data: Path, params: DedupParams) -> None:
        self._data, self._params = data, params
        self._lock = threading.Lock()
        self._decoders = threading.BoundedSemaphore(_DECODERS)
        self._cache: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._rows: dict[str, Row] = {}
        self.state()

    def state(self) -> dict[str, Any]:
        """All that the page shows, read again: dvc repro may have run.

        Raises:
            UserError: data/dedup is not there, or a list of ids is not sound.
        """
        rows = manifest.read(self._data / "dedup")
        verdicts = overrides.read(self._data)
        with self._lock:
            self._rows = {row.id: row for row in rows}
            self._cache.clear()
        pictures = [
            {
                "id": row.id,
                "group": row.reason or "kept",
                "source": row.source,
                "time_s": row.time_s,
                "score": decisive(row, self._rows, self._params),
                "duplicate_of": row.duplicate_of,
            }
            for row in rows
        ]
        return {"groups": groups(rows), "pictures": pictures, "verdicts": verdicts, "pending": pending(rows, verdicts)}

    def knows(self, name: str) -> bool:
        """Whether a picture has this id."""
        return name in self._rows

    def decide(self, names: Sequence[str], verdict: Override | None) -> dict[str, Any]:
        """Write a verdict on pictures into the lists; what they say then."""
        with self._lock:
            verdicts = overrides.write(self._data, names, verdict)
            return {"verdicts": verdicts, "pending": pending(list(self._rows.values()), verdicts)}

    def pending(self) -> int:
        """How many pictures the next run of dedup will judge otherwise."""
        return pending(list(self._rows.values()), overrides.read(self._data))

    def picture(self, name: str, size: str) -> bytes:
        """A picture as a JPEG of a size of SIDES_PX.

        Raises:
            UserError: its file is gone or damaged.
        """
        key = (name, size)
        with self._lock:
            row = self._rows[name]
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        with self._decoders:
            made = images.jpeg(arrays.shrink(images.read(manifest.file_of(row)), SIDES_PX[size]))
        with self._lock:
            self._cache[key] = made
            while sum(map(len, self._cache.values())) > MAX_CACHE_BYTES:
                self._cache.popitem(last=False)
        return made


# The server


class _Refusal(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Answer(NamedTuple):
    body: bytes
    type: str
    max_age_s: int = 0


def _json(value: object) -> _Answer:
    return _Answer(json.dumps(value, ensure_ascii=False).encode(), "application/json")


class Server(ThreadingHTTPServer):
    """Serves a review on a free port of the loopback interface."""

    daemon_threads = True
    block_on_close = False  # a browser holds its connections open

    def __init__(self, review: Review) -> None:
        self.review = review
        self.token = secrets.token_urlsafe(24)
        super().__init__((HOST, 0), _Handler)
        self.hosts = {f"{name}:{self.server_port}" for name in (HOST, "localhost")}
        self.url = f"http://{HOST}:{self.server_port}/{self.token}/"

    def server_bind(self) -> None:
        """Bind without asking the network for this machine's name, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that no longer waits for a picture is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "genga", ""
    timeout = 60

    def do_GET(self) -> None:
        self._answer_with(self._get)

    def do_POST(self) -> None:
        self._answer_with(self._post)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer_with(self, work: Any) -> None:
        status = 200
        try:
            answer = work(self._path())
        except _Refusal as refusal:
            # What follows on this connection may be the body that was not read.
            status, answer, self.close_connection = refusal.status, _json({"error": str(refusal)}), True
        except UserError as fault:
            status, answer = 409, _json({"error": str(fault)})
        self.send_response(status)
        self.send_header("Content-Type", answer.type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", f"private, max-age={answer.max_age_s}" if answer.max_age_s else "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def _path(self) -> list[str]:
        """What stands behind the secret in the address, in parts."""
        # A page elsewhere whose name was made to point here (DNS rebinding) comes with that name.
        if self.headers.get_all("Host", []) not in [[host] for host in self.server.hosts]:
            raise _Refusal(403, "open the address that genga review told")
        parts = self.path.partition("?")[0].split("/")
        if len(parts) < 3 or not hmac.compare_digest(parts[1].encode(), self.server.token.encode()):
            raise _Refusal(404, "open the address that genga review told: it ends in a secret and a slash")
        return [unquote(part) for part in parts[2:]]

    def _get(self, path: list[str]) -> _Answer:
        match path:
            case [page] if page in _PAGES:
                name = _PAGES[page]
                return _Answer((resources.files("pipeline.web") / "pages" / name).read_bytes(), _TYPES[Path(name).suffix])
            case ["state"]:
                return _json(self.server.review.state())
            case [size, name] if size in SIDES_PX and self.server.review.knows(name):
                return _Answer(self.server.review.picture(name, size), "image/jpeg", 600)
        raise _Refusal(404, "there is no such thing here")

    def _post(self, path: list[str]) -> _Answer:
        if path != ["decide"]:
            raise _Refusal(404, "there is no such thing here")
        if self.headers.get("Origin", f"http://{self.headers['Host']}") != f"http://{self.headers['Host']}":
            raise _Refusal(403, "another page may not decide")
        if self.headers.get_content_type() != "application/json":
            raise _Refusal(415, "send JSON")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()):
            raise _Refusal(411, "send a Content-Length")
        if len(length) > 9 or int(length) > MAX_BODY_BYTES:
            raise _Refusal(413, f"over {MAX_BODY_BYTES} bytes")
        try:
            decision = Decision.model_validate_json(self.rfile.read(int(length)))
        except ValidationError as error:
            raise _Refusal(400, f"not a decision: {error.errors()[0]['msg']}") from None
        unknown = [name for name in decision.ids if not self.server.review.knows(name)]
        if unknown:
            raise _Refusal(400, f"there is no picture {unknown[0]}: reload the page")
        return _json(self.server.review.decide(decision.ids, decision.verdict))


def serve(data: Path, params: DedupParams, open_browser: bool) -> None:
    """Serve the page until interrupted.

    Raises:
        UserError: data/dedup is not there, or a list of ids is not sound.
    """
    review = Review(data, params)
    with Server(review) as server:
        print(f"Review at {server.url}\nCtrl-C ends it.", flush=True)
        if open_browser:
            # Aside, since a browser in the terminal holds on until it is left.
            threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    count = review.pending()
    lists = " and ".join(str(overrides.list_path(data, override)) for override in overrides.OVERRIDES)
    print(f"{count} changed, saved in {lists}; next: dvc repro" if count else "nothing changed")
