"""The page that redraws in the browser: what its folder holds, and the page itself at work in a real browser."""

from __future__ import annotations

import functools
import http.server
import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.commands import onnxruntime_web, static_demo
from pipeline.core.errors import UserError
from pipeline.inference.open_model import open_model
from pipeline.inference.torch_stylizer import TorchStylizer
from pipeline.inference.upscaling import upscale_drawing
from pipeline.media import arrays, images
from pipeline.media.images import Picture
from tests.conftest import SHARED, scene
from tests.support.browser import Page, browse
from tests.support.exported import LICENCE, add_row, small_onnx

LIMIT = 0.25


@pytest.fixture(scope="module")
def archive() -> Path:
    """onnxruntime-web, from the cache or the registry."""
    try:
        return onnxruntime_web.fetch(onnxruntime_web.cache_folder())
    except UserError as fault:
        pytest.skip(str(fault))


@pytest.fixture(scope="module")
def site(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with a model, a copy of it, and one that is damaged."""
    folder = tmp_path_factory.mktemp("site")
    _, model = small_onnx()
    shutil.copy(model, folder / "my other!.onnx")
    static_demo.write(folder / "out", [model, folder / "my other!.onnx"], max_megapixels=LIMIT)
    return folder / "out"


class Handler(http.server.SimpleHTTPRequestHandler):
    """Any static host, and silent."""

    def log_message(self, format: str, *args: Any) -> None:
        self.server.requested.append(self.path)  # type: ignore[attr-defined]


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder on loopback; yields its address and the list of requested paths."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as server:
        server.requested = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", server.requested  # type: ignore[attr-defined]
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def opened(folder: Path, tmp_path: Path, *options: str, width: int = 1000, gpu: bool = False) -> Iterator[Page]:
    with served(folder) as (address, _), browse(tmp_path / "profile", *options, gpu=gpu) as page:
        page.set_window(width, 900)
        page.open(address)
        until(page, "document.body.dataset.ready")
        yield page


def until(page: Page, condition: str, patience_s: float = 60) -> None:
    end = time.monotonic() + patience_s
    while not page.run(f"Boolean({condition})"):
        assert time.monotonic() < end, (condition, page.run("document.body.innerText"), page.errors)
        time.sleep(0.05)


def choose_file(page: Page, path: Path) -> None:
    """Choose a photo, as with the file picker."""
    root = page.send("DOM.getDocument")["root"]["nodeId"]
    field = page.send("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    page.send("DOM.setFileInputFiles", nodeId=field, files=[str(path)])


def done(page: Page) -> Picture:
    """Wait for the result and return it."""
    until(page, "document.getElementById('said').textContent.startsWith('Done') || !document.getElementById('alert').hidden")
    assert page.run("document.getElementById('alert').hidden"), page.run("document.getElementById('alert').textContent")
    width, height, values = page.run(
        "(() => { const c = document.getElementById('after'); return [c.width, c.height, "
        "[...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]; })()"
    )
    return np.array(values, np.uint8).reshape(height, width, 4)[..., :3]


def photo() -> Picture:
    """A real photograph where there is one."""
    there = sorted((SHARED / "photos").rglob("*.jpg"))
    return arrays.shrink(images.read(there[40]), 161) if there else scene(3, 161, 107)


def expected(picture: Picture) -> Picture:
    saved, _ = small_onnx()
    with pytest.MonkeyPatch.context() as patch:
        add_row(patch)
        return TorchStylizer.from_file(saved, "cpu")(picture)


# The folder


def test_the_folder_is_whole_and_asks_nobody_else(site: Path) -> None:
    files = sorted(path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file())
    assert [name for name in files if not name.startswith("ort/")] == [
        "_headers", "demo.js", "demo_worker.js", "index.html", "licenses.txt", "models.json",
        "models/my-other.onnx", "models/small.onnx", "style.css", "upscaling.js",
    ]  # fmt: skip
    assert [name for name in files if name.startswith("ort/")] == sorted(f"ort/{name}" for name in onnxruntime_web.FILES)
    for name in ("index.html", "demo.js", "style.css", "demo_worker.js", "upscaling.js"):
        assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", (site / name).read_text()), name
    assert LICENCE in (site / "licenses.txt").read_text()


def test_errors_name_the_remedy(tmp_path: Path) -> None:
    _, model = small_onnx()
    with pytest.raises(UserError, match="is no ONNX file: make one with genga export"):
        static_demo.write(tmp_path / "out", [Path("a.safetensors")])
    with pytest.raises(UserError, match="no model"):
        static_demo.write(tmp_path / "out", [])
    with pytest.raises(UserError, match="not written by genga demo"):
        static_demo.write(tmp_path, [model], overwrite=True)
    assert not (tmp_path / "out").exists()


def test_names_are_fit_for_addresses_and_never_meet() -> None:
    names = static_demo.name_models([Path("a/x y.onnx"), Path("b/x-y.onnx"), Path("X-Y.onnx"), Path("日本.onnx")])
    assert list(names) == ["x-y", "x-y-2", "X-Y-3", "model"]
    paths = [Path("a/generator.safetensors"), Path("b/generator.safetensors"), Path("c/light.onnx")]
    assert list(static_demo.name_models(paths)) == ["generator", "generator-2", "light"]


# The page


def test_a_photo_is_redrawn_as_by_torch_and_nothing_else_is_requested(site: Path, tmp_path: Path) -> None:
    images.write(tmp_path / "my photo.png", photo())
    with served(site) as (address, requested), browse(tmp_path / "profile") as page:
        page.set_window(1000, 900)
        page.open(address)
        until(page, "document.body.dataset.ready")
        choose_file(page, tmp_path / "my photo.png")
        drawn = done(page)
        assert drawn.shape == photo().shape
        assert np.abs(drawn.astype(int) - expected(photo())).max() <= 2
        assert (drawn != photo()).mean() > 0.3
        # Screen readers get the same.
        nodes = page.send("Accessibility.getFullAXTree")["nodes"]
        named = {(node["role"]["value"], node.get("name", {}).get("value")) for node in nodes if not node.get("ignored")}
        assert {("image", "The photo"), ("image", "The photo redrawn")} <= named
        assert ("slider", "How much of the photo is shown, percent") in named
        spoken = next(node for node in nodes if node.get("role", {}).get("value") == "status")
        live = {one["name"]: one["value"].get("value") for one in spoken["properties"]}
        assert live["live"] == "polite"
        # The slider has the focus, and obeys the keyboard.
        before = page.run("getComputedStyle(document.getElementById('pair')).getPropertyValue('--at')")
        page.run("document.getElementById('at').value = 20, document.getElementById('at').dispatchEvent(new Event('input'))")
        assert page.run("document.activeElement.id") == "at" and before != "20%"
        assert page.run("document.getElementById('pair').style.getPropertyValue('--at')") == "20%"
        # What is saved is the whole picture.
        page.run("HTMLAnchorElement.prototype.click = function () { window.saved = [this.download, this.href]; }")
        page.click("#save")
        until(page, "window.saved")
        assert page.run("window.saved[0]") == "my photo-redrawn.png"
        size = page.run(
            "(async () => { const i = new Image(); i.src = saved[1]; await i.decode(); "
            "return [i.naturalWidth, i.naturalHeight]; })()"
        )
        assert size == [photo().shape[1], photo().shape[0]]
        assert not page.errors
        # The page could not contact another host.
        assert page.run("fetch('http://127.0.0.1:9/').then(() => '', (error) => error.name)") == "TypeError"
        assert any("Content Security Policy" in error for error in page.errors)
        assert all(path.split("?")[0].lstrip("/") in ("", *listing(site)) for path in requested), requested


def test_a_large_photo_is_drawn_at_the_working_size_and_enlarged_as_by_genga_stylize(site: Path, tmp_path: Path) -> None:
    large = arrays.resize(photo(), 560, 380)
    images.write(tmp_path / "large.png", large)
    with pytest.MonkeyPatch.context() as patch:
        add_row(patch)
        stylizer = open_model(small_onnx()[0], "cpu", exact=True)
    (listed, *_) = json.loads((site / "models.json").read_text())["models"]
    assert listed["working_px"] == int(stylizer.metadata["working_px"]) == 300
    with opened(site, tmp_path) as page:
        choose_file(page, tmp_path / "large.png")
        difference = np.abs(done(page).astype(int) - stylizer(large))
    assert difference.mean() < 0.2 and np.quantile(difference, 0.99) <= 3


@pytest.mark.parametrize(
    ("small", "large"), [((60, 40), (97, 64)), ((45, 60), (90, 120)), ((64, 36), (500, 281)), ((9, 7), (30, 22))]
)
def test_drawings_are_enlarged_in_the_browser_as_by_python(
    small: tuple[int, int], large: tuple[int, int], site: Path, tmp_path: Path
) -> None:
    picture = arrays.resize(photo(), *large)
    drawing = arrays.resize(255 - arrays.resize(picture, *small) // 2, *small)
    drawing[::3] = 40
    shapes = [
        f"{{ width: {part.shape[1]}, height: {part.shape[0]}, values: {part.ravel().tolist()} }}"
        for part in (drawing, np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)]))
    ]
    with opened(site, tmp_path) as page:
        page.run(f"window.pictures = [{', '.join(shapes)}]")
        shrunk, values = page.run(
            "import('./upscaling.js').then(({ shrink, upscaleDrawing }) => "
            f"[[...shrink(pictures[1], {small[0]}, {small[1]}).values], [...upscaleDrawing(...pictures)]])"
        )
    assert np.abs(np.array(shrunk).reshape(drawing.shape) - arrays.resize(picture, *small)).max() <= 1
    upscaled = np.array(values).reshape(*picture.shape[:2], 4)
    difference = np.abs(upscaled[..., :3] - upscale_drawing(drawing, picture))
    assert difference.max() <= 3 and (difference > 1).mean() < 0.01 and (upscaled[..., 3] == 255).all()


def listing(site: Path) -> set[str]:
    return {path.relative_to(site).as_posix() for path in site.rglob("*")} | {"favicon.ico"}


def test_a_large_photo_is_offered_smaller_and_other_files_are_refused(site: Path, tmp_path: Path) -> None:
    images.write(tmp_path / "large.png", scene(2, 600, 500))
    (tmp_path / "letter.txt").write_text("Dear diary")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no")
    alert = "document.getElementById('alert').hidden ? '' : document.getElementById('alert').textContent"
    with opened(site, tmp_path) as page:
        for name, words in [
            ("letter.txt", "is not a picture"),
            ("broken.png", "cannot read broken.png"),
            ("large.png", "0.3 megapixels"),
        ]:
            choose_file(page, tmp_path / name)
            until(page, f"({alert}).includes({json.dumps(words)})")
        page.click("#shrink")
        drawn = done(page)
        assert drawn.shape[0] * drawn.shape[1] <= LIMIT * 1e6 and drawn.shape[1] > 240
        assert page.run(alert) == ""
        # Without permission for the camera there is a message, and everything else works.
        page.run("navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError'))")
        page.click("#camera")
        until(page, f"({alert}).includes('camera was denied')")


def test_missing_and_damaged_models_are_reported_and_others_work(site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    shutil.copytree(site, folder)
    (folder / "models/small.onnx").unlink()
    images.write(tmp_path / "photo.png", photo())
    alert = "document.getElementById('alert').textContent"
    with opened(folder, tmp_path) as page:
        choose_file(page, tmp_path / "photo.png")
        until(page, f"{alert}.includes('could not be loaded')")
        (folder / "models/small.onnx").write_bytes(b"no model")
        choose = (
            "(n) => { const m = document.getElementById('model'); m.selectedIndex = n; m.dispatchEvent(new Event('change')); }"
        )
        page.run(f"({choose})(0)")
        until(page, f"{alert}.includes('damaged')")
        page.run(f"({choose})(1)")
        assert np.abs(done(page).astype(int) - expected(photo())).max() <= 2


def test_a_picture_from_the_camera_is_redrawn(site: Path, tmp_path: Path) -> None:
    pretend = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with opened(site, tmp_path, *pretend) as page:
        page.run("document.getElementById('camera').focus()")
        page.press("Enter")
        until(page, "document.getElementById('viewer').open && document.getElementById('video').videoWidth")
        # Put away by keyboard: the camera's light goes out, and the button that was pressed has the focus again.
        stream = "document.getElementById('video').srcObject"
        page.run(f"window.track = {stream}.getTracks()[0]")
        page.press("Escape")
        until(page, "!document.getElementById('viewer').open")
        assert page.run("track.readyState") == "ended" and page.run("document.activeElement.id") == "camera"
        page.press("Enter")
        until(page, "document.getElementById('viewer').open && document.getElementById('video').videoWidth")
        size = page.run("[document.getElementById('video').videoWidth, document.getElementById('video').videoHeight]")
        page.run(f"window.track = {stream}.getTracks()[0]")
        page.click("#take")
        until(page, "!document.getElementById('offer').hidden")  # more than the page was given as its limit
        assert page.run("track.readyState") == "ended"
        page.click("#shrink")
        drawn = done(page)
        assert abs(drawn.shape[1] / drawn.shape[0] - size[0] / size[1]) < 0.02 and drawn.std() > 10
        assert not page.errors


def test_a_graphics_card_draws_as_the_processor_or_is_left_alone(site: Path, tmp_path: Path) -> None:
    images.write(tmp_path / "photo.png", photo())
    # Chromium's own card in software. Where a Chromium has none the page works as ever, which another test shows.
    options = (
        "--enable-unsafe-webgpu",
        "--use-webgpu-adapter=swiftshader",
        "--enable-features=Vulkan",
        "--use-vulkan=swiftshader",
    )
    with opened(site, tmp_path, *options, gpu=True) as page:
        if not page.run("navigator.gpu?.requestAdapter().then(Boolean)"):
            pytest.skip("this Chromium has no WebGPU in software: install a newer one")
        choose_file(page, tmp_path / "photo.png")
        assert np.abs(done(page).astype(int) - expected(photo())).max() <= 3
        engine = page.run("document.getElementById('engine').textContent")
        assert "graphics card (WebGPU)" in engine or "processor" in engine


def test_it_fits_a_phone_and_everything_has_a_name(site: Path, tmp_path: Path) -> None:
    with opened(site, tmp_path, width=390) as page:
        assert page.run("document.documentElement.scrollWidth") <= 390
        nodes = page.send("Accessibility.getFullAXTree")["nodes"]
        roles = {"button", "combobox", "slider", "progressbar", "textbox", "link"}
        controls = [node for node in nodes if node.get("role", {}).get("value") in roles and not node.get("ignored")]
        assert len(controls) >= 4
        assert all(node.get("name", {}).get("value") for node in controls), controls
        order = []
        for _ in range(4):
            page.press("Tab")
            order.append(page.run("document.activeElement.id"))
        assert order[:3] == ["file", "camera", "model"]
