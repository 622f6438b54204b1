"""`genga review`: what the page is told, who is let in, and the page itself in a real browser."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pipeline.commands import review
from pipeline.commands.review import MAX_BODY_BYTES, Review, Server
from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.frames import overrides
from pipeline.media import images
from pipeline.params.schema import Params
from tests.conftest import ROOT, scene
from tests.support.browser import browse

SCORES = {"sharpness": 50.0, "luma_p95": 200.0, "luma_std": 40.0, "lettering": 0.1}
# id, reason, duplicate_of, scores that differ
PICTURES: list[tuple[str, str | None, str | None, dict[str, float]]] = [
    ("film-00000-00000208", None, None, {}),
    ("film-00000-00001208", "near_duplicate", "film-00000-00000208", {"sharpness": 20.0}),
    ("film-00000-00002208", "near_duplicate", "film-00000-00000208", {"sharpness": 10.0}),
    ("film-00001-00004000", None, None, {}),
    ("film-00002-00006000", "dark", None, {"luma_p95": 12.0}),
    ("film-00003-00008000", "credits", None, {"lettering": 0.99}),
    ("film-00004-00009000", "by_hand", None, {}),
    ('a "photo" #1/2?-ab12cd', None, None, {}),
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose dedup has run, on eight pictures."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/dedup").mkdir(parents=True)
    (tmp_path / "data/drop.txt").write_text("# mine\nfilm-00004-00009000\n")
    rows = []
    for number, (name, reason, original, scores) in enumerate(PICTURES):
        file = f"data/{number}.png"
        images.write(Path(file), scene(number, 640, 360))
        film = name.startswith("film")
        rows.append(
            Row(
                id=name,
                domain="anime" if film else "photo",
                source="film" if film else "photos",
                file=file,
                width_px=640,
                height_px=360,
                time_s=int(name[-8:]) / 1000 if film else None,
                reason=reason,
                duplicate_of=original,
                scores=SCORES | scores,
            )
        )
    manifest.write(Path("data/dedup"), rows)
    return tmp_path


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
    """Status, what came (JSON read) and headers, over a socket; `path` as it stands behind the secret."""
    link = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    sent = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = {} if sent is None else {"Content-Type": "application/json"}
    whole = path if path.startswith("/") else f"/{server.token}/{path}"
    link.request(method or ("GET" if body is None else "POST"), whole, sent, kind | (headers or {}))
    answer = link.getresponse()
    came = answer.read()
    link.close()
    return answer.status, json.loads(came) if answer.headers["Content-Type"] == "application/json" else came, answer.headers


# What the page is told


def test_the_score_that_decided_is_told(project: Path, committed: Params) -> None:
    told = {one["id"]: one for one in Review(Path("data"), committed.dedup).state()["pictures"]}
    assert list(told) == [name for name, *_ in PICTURES]
    assert told["film-00002-00006000"]["score"] == f"luma_p95 12 ≤ {committed.dedup.dark_luma:g}"
    assert told["film-00003-00008000"]["score"].startswith("lettering 0.99 ")
    assert told["film-00000-00001208"]["score"] == "sharpness 20, kept picture 50"
    assert told["film-00000-00000208"]["score"] == "sharpness 50"


def test_a_reason_unknown_to_the_page_is_shown_by_its_name() -> None:
    rows = [Row(id="a", domain="anime", source="s", width_px=1, height_px=1, reason="mid_transition")]
    assert review.groups(rows)[-1] == {"name": "mid_transition", "title": "Mid transition", "text": ""}
    assert [group["name"] for group in review.groups([])][:2] == ["kept", "near_duplicate"]


def test_what_waits_for_dedup_is_counted(project: Path) -> None:
    rows = manifest.read(Path("data/dedup"))
    kept, twin, *_, dropped, photo = (row.id for row in rows)
    assert review.pending(rows, {dropped: "drop", photo: "keep"}) == 0
    assert review.pending(rows, {}) == 1, "the one dropped by hand is to come back"
    assert review.pending(rows, {dropped: "keep", kept: "drop", twin: "keep", "gone": "drop"}) == 3


def test_thumbnails_are_kept_in_bounded_memory(project: Path, committed: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review, "MAX_CACHE_BYTES", 40_000)
    pictures = Review(Path("data"), committed.dedup)
    for name, *_ in PICTURES * 2:
        assert len(pictures.picture(name, "thumb")) < 40_000
        assert sum(map(len, pictures._cache.values())) <= 40_000
    assert pictures._cache


def test_pages_come_with_the_package() -> None:
    package_data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    files = {
        path.relative_to(ROOT / "pipeline").as_posix() for path in (ROOT / "pipeline").rglob("*.*") if path.suffix != ".py"
    }
    files = {name for name in files if "__pycache__" not in name}
    assert {f"web/pages/{name}" for name in review._PAGES.values()} <= files
    matched = {
        path.relative_to(ROOT / "pipeline").as_posix()
        for one in package_data["pipeline"]
        for path in (ROOT / "pipeline").glob(one)
    }
    assert matched == files


# The server


def test_the_page_and_its_pictures_are_served(server: Server) -> None:
    for name, kind in (("", "text/html"), ("review.css", "text/css"), ("review.js", "text/javascript")):
        status, body, headers = ask(server, name)
        assert status == 200 and body and headers["Content-Type"].startswith(kind)
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert b"http://" not in body.replace(b"http://www.w3.org/2000/svg", b"") and b"https://" not in body, (
            "nothing from elsewhere"
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
        "..%2fparams.yaml", "../cli.py", "review.py", "thumb", "thumb/", "decide", "state/", "%ff", "/", "/state", "//state",
        "/favicon.ico", "/data/keep.txt", "/\xe4/state",
    ],
)  # fmt: skip
def test_nothing_else_is_served(server: Server, path: str) -> None:
    path = path.encode().decode("latin-1") if not path.isascii() else path
    status, told, _ = ask(server, quote(path, safe="/%.") if not path.isascii() else path)
    assert status == 404 and told["error"]


def test_no_one_is_let_in_without_the_secret_or_by_another_name(server: Server) -> None:
    port, token = server.server_port, server.token
    assert server.server_address[0] == "127.0.0.1" and len(token) >= 32
    for path in (f"/{token[:-1]}/state", f"/{token}x/state", f"/{token}", "//state"):
        assert ask(server, path)[0] == 404
    for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", "127.0.0.1", f"[::1]:{port}", ""):
        assert ask(server, "state", headers={"Host": host})[0] == 403
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        assert ask(server, "state", headers={"Host": host})[0] == 200
    decision = {"ids": [PICTURES[0][0]], "verdict": "drop"}
    assert ask(server, "decide", decision, {"Host": f"evil.example:{port}"})[0] == 403
    assert ask(server, "decide", decision, {"Origin": "http://evil.example"})[0] == 403
    assert ask(server, "decide", decision, {"Origin": "null"})[0] == 403
    assert Path("data/drop.txt").read_text() == "# mine\nfilm-00004-00009000\n"
    assert ask(server, "decide", decision, {"Origin": f"http://127.0.0.1:{port}"})[0] == 200


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b"\xff", {}, 400),
        ({"ids": [], "verdict": "drop"}, {}, 400),
        ({"ids": ["film-00001-00004000"]}, {}, 400),
        ({"ids": ["film-00001-00004000"], "verdict": "burn"}, {}, 400),
        ({"ids": "film-00001-00004000", "verdict": "drop"}, {}, 400),
        ({"ids": ["film-00001-00004000"], "verdict": "drop", "file": "x"}, {}, 400),
        ({"ids": ["film-00001-00004000", "nothing"], "verdict": "drop"}, {}, 400),
        ({"ids": ["film-00001-00004000"], "verdict": "drop"}, {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Length": "-1"}, 411),
        (b"{}", {"Content-Length": str(MAX_BODY_BYTES + 1)}, 413),
        (b"{}", {"Content-Length": "9" * 5000}, 413),
    ],
)
def test_what_is_no_decision_changes_nothing(server: Server, body: object, headers: dict[str, str], status: int) -> None:
    before = {path: path.read_bytes() for path in Path("data").glob("*.txt")}
    got, told, _ = ask(server, "decide", body, headers)
    assert (got, "error" in told) == (status, True)
    assert {path: path.read_bytes() for path in Path("data").glob("*.txt")} == before
    assert ask(server, "decide", {}, method="PUT")[0] == 501


def test_a_decision_is_on_disk_when_it_is_answered(server: Server) -> None:
    photo = PICTURES[-1][0]
    status, told, _ = ask(server, "decide", {"ids": [photo, "film-00001-00004000"], "verdict": "drop"})
    assert status == 200 and told["pending"] == 2
    assert Path("data/drop.txt").read_text() == f"# mine\nfilm-00004-00009000\n{json.dumps(photo)}\nfilm-00001-00004000\n"
    assert ask(server, "decide", {"ids": [photo], "verdict": "keep"})[1]["verdicts"][photo] == "keep"
    assert ask(server, "decide", {"ids": [photo, "film-00001-00004000"], "verdict": None})[1]["pending"] == 0
    assert Path("data/drop.txt").read_text() == "# mine\nfilm-00004-00009000\n"
    assert Path("data/keep.txt").read_text() == ""


def test_decisions_of_many_at_once_are_all_kept(server: Server) -> None:
    names = [name for name, *_ in PICTURES]
    threads = [threading.Thread(target=ask, args=(server, "decide", {"ids": [name], "verdict": "keep"})) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overrides.read(Path("data")) == dict.fromkeys(names, "keep")


def test_what_goes_wrong_behind_the_page_is_told(server: Server) -> None:
    Path("data/0.png").unlink()
    status, told, _ = ask(server, f"thumb/{PICTURES[0][0]}")
    assert status == 409 and "0.png does not exist" in told["error"]
    Path("data/keep.txt").write_text("two words\n")
    status, told, _ = ask(server, "decide", {"ids": [PICTURES[0][0]], "verdict": "drop"})
    assert status == 409 and "keep.txt, line 1" in told["error"]
    Path("data/keep.txt").unlink()
    Path("data/dedup/manifest.jsonl").unlink()
    status, told, _ = ask(server, "state")
    assert status == 409 and "run dvc repro" in told["error"]


def test_without_a_run_of_dedup_there_is_one_clear_line(at: Any, committed: Params) -> None:
    at()
    with pytest.raises(UserError, match=r"data/dedup/manifest.jsonl is missing: run dvc repro"):
        review.serve(Path("data"), committed.dedup, open_browser=False)


def test_the_verb_tells_its_address_and_ends_by_interrupt(project: Path) -> None:
    (project / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "pipeline.cli", "review", "--no-browser"], cwd=project, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        # Tests that run in the background may have inherited deaf ears for Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert process.stdout
    line = process.stdout.readline()
    assert line.startswith("Review at http://127.0.0.1:"), line
    link = http.client.HTTPConnection("127.0.0.1", int(line.split(":")[2].split("/")[0]), timeout=20)
    link.request(
        "POST",
        f"/{line.split('/')[3]}/decide",
        json.dumps({"ids": [PICTURES[0][0]], "verdict": "drop"}),
        {"Content-Type": "application/json"},
    )
    assert link.getresponse().status == 200
    process.send_signal(signal.SIGINT)  # the connection is still open
    rest, _ = process.communicate(timeout=30)
    link.close()
    assert process.returncode == 0 and "Traceback" not in rest
    assert "1 changed, saved in data/keep.txt and data/drop.txt; next: dvc repro" in rest


# The page


def test_a_person_decides_by_keys_and_clicks(server: Server, tmp_path: Path) -> None:
    drop, keep = Path("data/drop.txt"), Path("data/keep.txt")
    saved = "!document.body.dataset.saving"
    with browse(tmp_path / "profile") as page:
        page.look(1000, 700)
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
        assert [name for name, verdict in overrides.read(Path("data")).items() if verdict == "drop"][1:] == [
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
        page.wait("document.querySelector('#large').open && document.querySelectorAll('#stage img').length === 2")
        page.press("k")
        page.wait(f"{saved} && !document.querySelector('.is-keep')")
        assert keep.read_text() == ""
        page.press("Escape")
        page.wait("!document.querySelector('#large').open")
        page.press("?", shift=True)
        page.wait("document.querySelector('#keys').open")
        page.press("d")  # a key of the page does nothing behind the list of keys
        page.press("Escape")
        page.wait(f"{saved} && !document.querySelector('#keys').open")
        assert keep.read_text() == "" and drop.read_text() == "# mine\nfilm-00004-00009000\n"
        assert page.errors == []

        # Real buttons with names, one tab stop among the tiles, nothing wider than a telephone.
        assert page.run("[...document.querySelectorAll('button')].every(b => (b.ariaLabel || b.textContent).trim())")
        assert page.run("document.querySelectorAll('.tile .pic[tabindex=\"0\"]').length") == 1
        page.look(360, 700, "dark")
        page.wait("document.documentElement.scrollWidth <= 360")
        assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(23, 22, 21)"

        drop.write_text("two words\n")
        page.press("d")
        page.wait("!document.querySelector('#alert').hidden")
        assert "drop.txt, line 1" in page.run("document.querySelector('#alert').textContent")
        page.wait(f"{saved} && !document.querySelector('.is-drop')")


def test_twenty_thousand_pictures_do_not_choke_the_page(project: Path, committed: Params, tmp_path: Path) -> None:
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
        page.look(1000, 700)
        page.open(server.url)
        page.wait("document.querySelectorAll('.tile').length >= 120")
        assert "20000" in page.run("document.querySelector('#filters').textContent")
        built = page.run("document.querySelectorAll('.tile').length")
        assert built <= 480
        assert page.run("[...document.images].filter(image => image.complete && image.naturalWidth).length") <= 240
        page.run("scrollTo(0, document.body.scrollHeight)")
        page.wait(f"document.querySelectorAll('.tile').length > {built}")
