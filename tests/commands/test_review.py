"""`genga review`: the server, which refuses requests from elsewhere, and the page in a browser."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pipeline.commands import review
from pipeline.commands.review import MAX_BODY_BYTES, Server
from pipeline.commands.review_state import Review
from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.frames import overrides
from pipeline.media import images
from pipeline.params.schema import Params
from tests.conftest import ROOT
from tests.support.browser import browse
from tests.support.review_project import PICTURES, SCORES, project

__all__ = ["project"]


@contextmanager
def serving(committed: Params) -> Iterator[Server]:
    with Server(Review(Path("data"), committed.dedup)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server(project: Path, committed: Params) -> Iterator[Server]:
    with serving(committed) as server:
        yield server


def ask(
    server: Server, path: str, body: object = None, headers: dict[str, str] | None = None, method: str = ""
) -> tuple[int, Any, http.client.HTTPMessage]:
    """Send a request; return status, body (JSON is parsed) and headers. A relative `path` follows the secret."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    sent = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = {} if sent is None else {"Content-Type": "application/json"}
    whole = path if path.startswith("/") else f"/{server.token}/{path}"
    connection.request(method or ("GET" if body is None else "POST"), whole, sent, kind | (headers or {}))
    response = connection.getresponse()
    content = response.read()
    connection.close()
    is_json = response.headers["Content-Type"] == "application/json"
    return response.status, json.loads(content) if is_json else content, response.headers


# The server


def test_the_page_and_its_pictures_are_served(server: Server) -> None:
    for name, kind in (("", "text/html"), ("style.css", "text/css"), ("review.js", "text/javascript")):
        status, body, headers = ask(server, name)
        assert status == 200 and body and headers["Content-Type"].startswith(kind)
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert b"http://" not in body.replace(b"http://www.w3.org/2000/svg", b"") and b"https://" not in body, (
            "nothing is loaded from elsewhere"
        )
    for size, side in (("thumb", 320), ("large", 640)):
        for name, *_ in PICTURES:
            status, body, headers = ask(server, f"{size}/{quote(name, safe='')}")
            assert (status, headers["Content-Type"], body[:2]) == (200, "image/jpeg", b"\xff\xd8")
            path = Path("got.jpg")
            path.write_bytes(body)
            assert images.read(path).shape[1] == side


@pytest.mark.parametrize(
    "path",
    [
        "thumb/nothing", "thumb/..%2f..%2fdata%2f0.png", "thumb/data/0.png", "thumb/../../data/0.png", "huge/film-00000",
        "..%2fparams.yaml", "../cli.py", "review.py", "thumb", "thumb/", "override", "state/", "%ff", "/", "/state", "//state",
        "/favicon.ico", "/data/keep.txt", "/\xe4/state",
    ],
)  # fmt: skip
def test_nothing_else_is_served(server: Server, path: str) -> None:
    path = path.encode().decode("latin-1") if not path.isascii() else path
    status, reply, _ = ask(server, quote(path, safe="/%.") if not path.isascii() else path)
    assert status == 404 and reply["error"]


def test_requests_without_the_secret_or_with_another_host_are_refused(server: Server) -> None:
    port, token = server.server_port, server.token
    assert server.server_address[0] == "127.0.0.1" and len(token) >= 32
    for path in (f"/{token[:-1]}/state", f"/{token}x/state", f"/{token}", "//state"):
        assert ask(server, path)[0] == 404
    for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", "127.0.0.1", f"[::1]:{port}", ""):
        assert ask(server, "state", headers={"Host": host})[0] == 403
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        assert ask(server, "state", headers={"Host": host})[0] == 200
    request = {"ids": [PICTURES[0][0]], "override": "drop"}
    assert ask(server, "override", request, {"Host": f"evil.example:{port}"})[0] == 403
    assert ask(server, "override", request, {"Origin": "http://evil.example"})[0] == 403
    assert ask(server, "override", request, {"Origin": "null"})[0] == 403
    assert Path("data/drop.txt").read_text() == "# mine\nfilm-00004-00009000\n"
    assert ask(server, "override", request, {"Origin": f"http://127.0.0.1:{port}"})[0] == 200


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b"\xff", {}, 400),
        ({"ids": [], "override": "drop"}, {}, 400),
        ({"ids": ["film-00001-00004000"]}, {}, 400),
        ({"ids": ["film-00001-00004000"], "override": "burn"}, {}, 400),
        ({"ids": "film-00001-00004000", "override": "drop"}, {}, 400),
        ({"ids": ["film-00001-00004000"], "override": "drop", "file": "x"}, {}, 400),
        ({"ids": ["film-00001-00004000", "nothing"], "override": "drop"}, {}, 400),
        ({"ids": ["film-00001-00004000"], "override": "drop"}, {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Length": "-1"}, 411),
        (b"{}", {"Content-Length": str(MAX_BODY_BYTES + 1)}, 413),
        (b"{}", {"Content-Length": "9" * 5000}, 413),
    ],
)
def test_malformed_requests_change_nothing(server: Server, body: object, headers: dict[str, str], status: int) -> None:
    before = {path: path.read_bytes() for path in Path("data").glob("*.txt")}
    got, reply, _ = ask(server, "override", body, headers)
    assert (got, "error" in reply) == (status, True)
    assert {path: path.read_bytes() for path in Path("data").glob("*.txt")} == before
    assert ask(server, "override", {}, method="PUT")[0] == 501


def test_an_override_is_saved_before_the_response(server: Server) -> None:
    photo = PICTURES[-1][0]
    status, reply, _ = ask(server, "override", {"ids": [photo, "film-00001-00004000"], "override": "drop"})
    assert status == 200 and reply["pending"] == 2
    assert Path("data/drop.txt").read_text() == f"# mine\nfilm-00004-00009000\n{json.dumps(photo)}\nfilm-00001-00004000\n"
    assert ask(server, "override", {"ids": [photo], "override": "keep"})[1]["overrides"][photo] == "keep"
    assert ask(server, "override", {"ids": [photo, "film-00001-00004000"], "override": None})[1]["pending"] == 0
    assert Path("data/drop.txt").read_text() == "# mine\nfilm-00004-00009000\n"
    assert Path("data/keep.txt").read_text() == ""


def test_concurrent_overrides_are_all_saved(server: Server) -> None:
    names = [name for name, *_ in PICTURES]
    threads = [threading.Thread(target=ask, args=(server, "override", {"ids": [name], "override": "keep"})) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overrides.read(Path("data")) == dict.fromkeys(names, "keep")


def test_errors_are_sent_to_the_page(server: Server) -> None:
    Path("data/0.png").unlink()
    status, reply, _ = ask(server, f"thumb/{PICTURES[0][0]}")
    assert status == 409 and "0.png does not exist" in reply["error"]
    Path("data/keep.txt").write_text("two words\n")
    status, reply, _ = ask(server, "override", {"ids": [PICTURES[0][0]], "override": "drop"})
    assert status == 409 and "keep.txt, line 1" in reply["error"]
    Path("data/keep.txt").unlink()
    Path("data/dedup/manifest.jsonl").unlink()
    status, reply, _ = ask(server, "state")
    assert status == 409 and "run dvc repro" in reply["error"]


def test_a_missing_manifest_is_one_clear_error(at: Any, committed: Params) -> None:
    at()
    with pytest.raises(UserError, match=r"data/dedup/manifest.jsonl is missing: run dvc repro"):
        review.serve(Path("data"), committed.dedup, open_browser=False)


def test_the_command_prints_its_address_and_stops_on_ctrl_c(project: Path) -> None:
    (project / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "pipeline.cli", "review", "--no-browser"], cwd=project, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        # A test that runs in the background may have inherited an ignored SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert process.stdout
    line = process.stdout.readline()
    assert line.startswith("Review at http://127.0.0.1:"), line
    connection = http.client.HTTPConnection("127.0.0.1", int(line.split(":")[2].split("/")[0]), timeout=20)
    connection.request(
        "POST",
        f"/{line.split('/')[3]}/override",
        json.dumps({"ids": [PICTURES[0][0]], "override": "drop"}),
        {"Content-Type": "application/json"},
    )
    assert connection.getresponse().status == 200
    process.send_signal(signal.SIGINT)  # the connection is still open
    rest, _ = process.communicate(timeout=30)
    connection.close()
    assert process.returncode == 0 and "Traceback" not in rest
    assert "1 changed, saved in data/keep.txt and data/drop.txt; next: dvc repro report" in rest


# The page


def test_overrides_by_keyboard_and_mouse(server: Server, tmp_path: Path) -> None:
    drop, keep = Path("data/drop.txt"), Path("data/keep.txt")
    saved = "!document.body.dataset.saving"
    with browse(tmp_path / "profile") as page:
        page.set_window(1000, 700)
        page.open(server.url)
        page.wait("document.querySelectorAll('.tile').length === 8")
        assert page.run("[...document.querySelectorAll('section')].map(s => s.dataset.group)") == [
            "kept", "near_duplicate", "credits", "dark", "by_hand",
        ]  # fmt: skip
        page.wait("[...document.images].slice(0, 3).every(image => image.naturalWidth === 320)")

        page.press("ArrowRight")  # film-00001
        page.press("d")
        page.wait(f"{saved} && document.querySelector('.tile.is-drop:not([data-id*=\"00009000\"])')")
        assert drop.read_text() == "# mine\nfilm-00004-00009000\nfilm-00001-00004000\n"
        page.press("k")
        page.wait(f"{saved} && document.querySelector('.tile.is-keep .keep[aria-pressed=true]')")
        assert drop.read_text() == "# mine\nfilm-00004-00009000\n" and keep.read_text() == "film-00001-00004000\n"
        page.press("u")
        page.press("u")
        page.wait(f"{saved} && document.querySelector('#undo').disabled")
        assert overrides.read(Path("data")) == {"film-00004-00009000": "drop"}

        page.press("ArrowLeft")
        page.press("D", shift=True)  # with its two near-duplicates
        page.wait(f"{saved} && document.querySelectorAll('.is-drop').length === 4")
        assert [name for name, override in overrides.read(Path("data")).items() if override == "drop"][1:] == [
            name for name, *_ in PICTURES[:3]
        ]
        page.wait("document.querySelector('#pending').textContent.startsWith('3 changes')")
        page.press("u")
        page.wait(f"{saved} && document.querySelectorAll('.is-drop').length === 1")

        page.press("g")
        page.press("g")  # near-duplicates, each beside the picture kept instead
        page.wait("document.querySelectorAll('.tile').length === 2 && document.querySelectorAll('.tile img').length === 4")
        page.click(".tile:last-child .keep")
        page.wait(f"{saved} && document.querySelector('.tile:last-child.is-keep')")
        assert keep.read_text() == "film-00000-00002208\n"
        page.press("Enter") if page.run("document.activeElement.matches('.pic')") else page.click(".tile:last-child .pic")
        page.wait("document.querySelector('#large').open && document.querySelectorAll('#large-pictures img').length === 2")
        page.press("k")
        page.wait(f"{saved} && !document.querySelector('.is-keep')")
        assert keep.read_text() == ""
        page.press("Escape")
        page.wait("!document.querySelector('#large').open")
        page.press("?", shift=True)
        page.wait("document.querySelector('#keys').open")
        page.press("d")  # keys do nothing while the list of keys is open
        page.press("Escape")
        page.wait(f"{saved} && !document.querySelector('#keys').open")
        assert keep.read_text() == "" and drop.read_text() == "# mine\nfilm-00004-00009000\n"
        assert page.errors == []

        # Buttons have names, the tiles are one tab stop, and nothing is wider than a phone.
        assert page.run("[...document.querySelectorAll('button')].every(b => (b.ariaLabel || b.textContent).trim())")
        assert page.run("document.querySelectorAll('.tile .pic[tabindex=\"0\"]').length") == 1
        page.set_window(360, 700, "dark")
        page.wait("document.documentElement.scrollWidth <= 360")
        assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 27)"

        drop.write_text("two words\n")
        page.press("d")
        page.wait("!document.querySelector('#alert').hidden")
        assert "drop.txt, line 1" in page.run("document.querySelector('#alert').textContent")
        page.wait(f"{saved} && !document.querySelector('.is-drop')")


def test_the_page_stays_small_with_twenty_thousand_pictures(project: Path, committed: Params, tmp_path: Path) -> None:
    rows = [
        Row(
            id=f"film-{number:05d}",
            domain="anime",
            source="film",
            file="data/0.png",
            width_px=640,
            height_px=360,
            scores=SCORES,
        )
        for number in range(20_000)
    ]
    manifest.write(Path("data/dedup"), rows)
    with serving(committed) as server, browse(tmp_path / "profile") as page:
        page.set_window(1000, 700)
        page.open(server.url)
        page.wait("document.querySelectorAll('.tile').length >= 120")
        assert "20000" in page.run("document.querySelector('#filters').textContent")
        built = page.run("document.querySelectorAll('.tile').length")
        assert built <= 480
        assert page.run("[...document.images].filter(image => image.complete && image.naturalWidth).length") <= 240
        page.run("scrollTo(0, document.body.scrollHeight)")
        page.wait(f"document.querySelectorAll('.tile').length > {built}")
