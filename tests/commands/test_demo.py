"""The local demo page, tested by HTTP requests to one real server."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import pillow_heif
import pytest

from pipeline import cli
from pipeline.commands import demo
from pipeline.core.errors import UserError
from pipeline.inference.render_options import RenderOptions
from pipeline.inference.scaled_stylizer import ScaledStylizer
from pipeline.inference.torch_stylizer import TorchStylizer
from pipeline.media import bounded, images
from pipeline.media.images import Photo, Picture
from tests.conftest import ROOT, scene
from tests.support.browser import browse
from tests.support.exported import add_row, save_small
from tests.support.stylizers import Negative

SERVE = """
import logging, sys, pytest
from pathlib import Path
from pipeline.commands.demo import DemoOptions, serve
from tests.support.exported import add_row
add_row(pytest.MonkeyPatch())
logging.basicConfig(level=logging.INFO)
serve([Path(sys.argv[1])], DemoOptions(port=int(sys.argv[2]), max_megapixels=0.05, max_upload_mb=0.2, device="cpu"))
"""


class Server(NamedTuple):
    """A running page."""

    port: int
    model: Path
    folder: Path
    """Where it keeps files, among them its own folder."""
    process: subprocess.Popen[str]

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Send a request; return its status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def upload(self, name: str, content: bytes) -> tuple[int, bytes]:
        """Upload a file as a browser's form does."""
        start = f'--cut\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        body = start.encode() + content + b"\r\n--cut--\r\n"
        return self.request("POST", "/gradio_api/upload", body, **{"Content-Type": "multipart/form-data; boundary=cut"})

    def redraw(self, photo: Any, strength: Any = 1, keep_color: bool = False) -> tuple[str, Any]:
        """Do what the button does; return the name and the data of the last event."""
        return self.call("redraw", photo, "small", strength, keep_color)

    def call(self, name: str, *values: Any) -> tuple[str, Any]:
        """Call a function of the page; return the name and the data of the last event."""
        body = json.dumps({"data": values}).encode()
        status, reply = self.request("POST", f"/gradio_api/call/{name}", body, **{"Content-Type": "application/json"})
        assert status == 200, reply
        _, stream = self.request("GET", f"/gradio_api/call/{name}/{json.loads(reply)['event_id']}")
        last = re.findall(r"event: (\w+)\ndata: (.*)", stream.decode())[-1]
        return last[0], json.loads(last[1])

    def send(self, name: str, content: bytes, **options: Any) -> tuple[str, Any]:
        """Upload a photo and redraw it."""
        status, reply = self.upload(name, content)
        assert status == 200, reply
        return self.redraw(_file(json.loads(reply)[0], orig_name=name), **options)


def _file(path: str, **more: str) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}} | more


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A page of a small model; Ctrl-C ends it, and nothing is left."""
    home = tmp_path_factory.mktemp("demo")
    kept = home / "tmp"
    kept.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        add_row(patch)
        model = save_small(home / "small.safetensors")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # An allowed path of Gradio's environment must be ignored.
    env = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(kept), "GRADIO_ALLOWED_PATHS": str(home)}
    env["XDG_CACHE_HOME"] = env["TORCHINDUCTOR_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))
    command = [sys.executable, "-c", SERVE, str(model), str(port)]
    with (
        (home / "log").open("w") as log,
        subprocess.Popen(command, cwd=home, env=env, text=True, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"Demo at http://127.0.0.1:{port}/\n", (home / "log").read_text("utf-8")
            yield Server(port, model, kept, process)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
            assert not list(kept.iterdir()) and "multiprocessing" not in (home / "log").read_text("utf-8")
            assert sorted(path.name for path in home.iterdir()) == ["log", "small.safetensors", "tmp"]
        finally:
            process.kill()


def _png(picture: Picture, folder: Path) -> bytes:
    images.write(folder / "photo.png", picture)
    return (folder / "photo.png").read_bytes()


def _drawn(server: Server, photo: Photo, options: RenderOptions) -> Picture:
    with pytest.MonkeyPatch.context() as patch:
        add_row(patch)
        return options.render(photo, TorchStylizer.from_file(server.model, "cpu")(photo.picture))


@pytest.mark.parametrize("options", [RenderOptions(), RenderOptions(0.5, keep_color=True)])
def test_the_page_redraws_as_the_stylizer_does(server: Server, tmp_path: Path, options: RenderOptions) -> None:
    photo = Photo(scene(1, 120, 90), None, None)
    event, reply = server.send(
        "my <photo>.png", _png(photo.picture, tmp_path), strength=options.strength, keep_color=options.keep_color
    )
    assert event == "complete", reply
    (before, after), download = reply[0], reply[1]["value"]
    assert Path(download["path"]).name == "my _photo_-small.png"
    for one, expected in (
        (before, photo.picture),
        (after, _drawn(server, photo, options)),
        (download, _drawn(server, photo, options)),
    ):
        status, content = server.request("GET", f"/gradio_api/file={urllib.parse.quote(one['path'])}")
        assert status == 200
        shown = images.read(Path("result.png"), data=content)
        assert np.abs(shown.astype(int) - expected).max() <= 2  # by OpenVINO


def test_a_photo_that_browsers_cannot_show_has_a_preview_and_is_redrawn_itself(server: Server) -> None:
    """An iPhone's HEIC: the page shows a JPEG of it, and what the button sends then stands for the photo."""
    picture, content = scene(1, 120, 90), io.BytesIO()
    pillow_heif.register_heif_opener()
    PIL.Image.fromarray(picture).save(content, "HEIF", quality=100, chroma=444)
    path = json.loads(server.upload("IMG_1.HEIC", content.getvalue())[1])[0]
    event, (shown,) = server.call("preview", _file(path, orig_name="IMG_1.HEIC"))
    assert event == "complete" and shown["path"].endswith(".jpg")
    status, jpeg = server.request("GET", f"/gradio_api/file={urllib.parse.quote(shown['path'])}")
    assert status == 200 and images.read(Path("shown.jpg"), data=jpeg).shape == picture.shape
    event, reply = server.redraw(shown)
    assert event == "complete", reply
    assert Path(reply[1]["value"]["path"]).name == "IMG_1-small.png"
    before = server.request("GET", f"/gradio_api/file={urllib.parse.quote(reply[0][0]['path'])}")[1]
    decoded = images.read(Path("a.heic"), data=content.getvalue())
    assert np.array_equal(images.read(Path("before.png"), data=before), decoded)  # not the JPEG
    path = json.loads(server.upload("text.heic", b"not at all")[1])[0]
    assert server.call("preview", _file(path, orig_name="text.heic"))[0] == "complete"


def test_the_line_between_before_and_after_moves_by_keyboard(server: Server, tmp_path: Path) -> None:
    images.write(tmp_path / "photo.png", scene(1, 120, 90))
    with browse(tmp_path / "profile") as tab:
        tab.set_window(1200, 900)
        tab.open(f"http://127.0.0.1:{server.port}/")
        tab.wait("document.querySelector('input[type=file]')")
        document = tab.send("DOM.getDocument")["root"]["nodeId"]
        node = tab.send("DOM.querySelector", nodeId=document, selector="input[type=file]")["nodeId"]
        tab.send("DOM.setFileInputFiles", nodeId=node, files=[str(tmp_path / "photo.png")])
        tab.wait("[...document.images].some(image => image.src.includes('file='))")
        tab.run("[...document.querySelectorAll('button')].find(button => button.textContent.trim() == 'Redraw').click()")
        tab.wait("document.querySelector('.outer')")
        # The line's place as a share of the picture's width; it is elsewhere until the pictures have been loaded.
        line = "document.querySelector('.outer').getBoundingClientRect()"
        picture = "document.querySelector('.outer').parentElement.getBoundingClientRect()"
        place = f"({line}.x + {line}.width / 2 - {picture}.x) / {picture}.width"
        tab.wait(f"Math.abs({place} - 0.5) < 0.01")
        tab.run("[...document.querySelectorAll('input[type=range]')].find(input => input.max == 100).focus()")
        for _ in range(5):
            tab.press("ArrowRight")
        tab.wait(f"Math.abs({place} - 0.55) < 0.01")


def test_a_phones_12_megapixels_pass_the_limits_as_they_stand() -> None:
    content, options = io.BytesIO(), demo.DemoOptions()
    noise = np.random.default_rng(0).integers(0, 256, (756, 1008, 3), np.uint8)
    picture = PIL.Image.fromarray(noise).resize((4032, 3024))
    picture.save(content, "JPEG", quality=90)
    assert 1e6 < len(content.getvalue()) < options.max_upload_mb * 1e6
    photo = bounded.read_photo(Path("a.jpg"), options.max_megapixels, content.getvalue(), options.time_limit_s)
    assert photo.picture.shape == (3024, 4032, 3)
    timed = demo.TimedStylizer(ScaledStylizer(Negative()), options.time_limit_s)
    assert timed(photo, RenderOptions()).shape == photo.picture.shape


def test_errors_are_shown_in_plain_words(server: Server, tmp_path: Path) -> None:
    large = _png(np.zeros((300, 200, 3), np.uint8), tmp_path)
    for name, content, words in [
        ("large.png", large, "large.png is 200x300 (0.06 megapixels), over the limit of 0.05"),
        ("text.png", b"not at all", "text.png is not a picture"),
        ("cut.png", large[:200], "over the limit"),
    ]:
        event, reply = server.send(name, content)
        assert event == "error" and words in str(reply), reply
        assert str(server.folder) not in str(reply)
    small = _png(scene(1, 40, 30), tmp_path)
    assert "choose a photo first" in str(server.redraw(None))
    for strength in (2, -1, "1", float("nan"), None):
        assert "no such choice" in str(server.send("a.png", small, strength=strength)[1])
    assert server.upload("huge.png", bytes(300_000))[0] == 413
    # So much is refused before any of it is sent.
    assert server.request("POST", "/gradio_api/upload", None, **{"Content-Length": "3000000"})[0] == 413
    assert server.request("POST", "/gradio_api/upload", None, **{"Transfer-Encoding": "chunked"})[0] == 411


def test_no_path_outside_is_served_or_read(server: Server) -> None:
    inside = next(server.folder.glob("genga-demo-*"))
    for path in (server.model, ROOT / "README.md", "/etc/passwd", f"{inside}/../../small.safetensors", "~/.bashrc"):
        for quoted in (str(path), urllib.parse.quote(str(path), safe=""), str(path).replace("/", "%2f").replace(".", "%2e")):
            status, body = server.request("GET", f"/gradio_api/file={quoted}")
            assert status in (403, 404), (quoted, body)
        event, reply = server.redraw(_file(str(path)))
        assert (event, reply) == ("error", {"error": None}), "Gradio refuses without revealing whether the file exists"
    for path in ("/static/../../../../../../../etc/passwd", "/assets/..%2f..%2f..%2fblocks.py", "/gradio_api/file/etc/passwd"):
        assert server.request("GET", path)[0] in (403, 404), path


def test_no_other_host_is_contacted(server: Server) -> None:
    """Gradio itself would fetch any URL that a request names."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.5)
        address = f"http://127.0.0.1:{other.getsockname()[1]}/a.png"
        assert server.request("GET", f"/gradio_api/file={address}")[0] == 404
        assert server.request("GET", f"/gradio_api/proxy={address}")[0] == 404
        event, reply = server.redraw(_file(address, url=address))
        assert event == "error" and "not its address" in str(reply)
        with pytest.raises(TimeoutError):
            other.accept()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/")
    response = connection.getresponse()
    page = response.read().decode()
    connection.close()
    assert "default-src 'self'" in str(response.getheader("Content-Security-Policy"))
    assert not re.findall(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=[\"']?(?:https?:)?//(?!127)", page)
    assert '"analytics_enabled":false' in page
    assert server.request("GET", "/", Host=f"evil.example:{server.port}")[0] == 403
    assert server.request("GET", "/monitoring")[0] == server.request("GET", "/openapi.json")[0] == 404


def test_the_server_listens_on_loopback_alone(server: Server) -> None:
    connections = Path(f"/proc/{server.process.pid}/net/tcp")
    if not connections.is_file():
        pytest.skip("no /proc: run on Linux")
    rows = [line.split() for line in connections.read_text("utf-8").splitlines()[1:]]
    bound = {row[1].split(":")[0] for row in rows if row[1].endswith(f":{server.port:04X}") and row[3] == "0A"}
    assert bound == {"0100007F"}


def test_a_photo_that_would_take_too_long_is_refused() -> None:
    timed = demo.TimedStylizer(Negative(), time_limit_s=10.0)
    photo = Photo(scene(1, 300, 200), None, None)
    np.testing.assert_array_equal(timed(photo, RenderOptions()), 255 - photo.picture)
    timed._s_per_megapixel = 1000.0
    with pytest.raises(UserError, match=r"0\.06 megapixels would take about 60 s.*to 0\.01 megapixels"):
        timed(photo, RenderOptions())


def test_a_host_that_is_no_address_is_refused() -> None:
    with pytest.raises(UserError, match="is no address"):
        demo.serve([], demo.DemoOptions(host="nowhere example"))
    assert tempfile.tempdir is None or "genga-demo" not in tempfile.tempdir


def test_options_of_the_static_page_and_of_the_server_do_not_mix(tmp_path: Path) -> None:
    model = [tmp_path / "model.onnx"]
    with pytest.raises(UserError, match="go with --static FOLDER"):
        cli.demo(model, overwrite=True)
    with pytest.raises(UserError, match="are for serving"):
        cli.demo(model, static=tmp_path / "site", port=8000)
    with pytest.raises(UserError, match="50 or less"):
        cli.demo(model, static=tmp_path / "site", max_megapixels=51)
    with pytest.raises(UserError, match="does not exist"):
        cli.demo(model)
