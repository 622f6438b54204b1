"""`genga demo`: serves a web page that redraws photos on this machine. Needs Gradio.

Gradio keeps uploads in files. Here they lie in a private folder, are deleted after minutes, and the folder is deleted with
the server.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import multiprocessing.util
import os
import re
import secrets
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.commands.static_demo import name_models
from pipeline.core import signals
from pipeline.core.errors import UserError, log
from pipeline.inference.open_model import open_model
from pipeline.inference.render_options import RenderOptions
from pipeline.inference.stylizer import Stylizer
from pipeline.media import arrays, bounded, images
from pipeline.media.images import Photo, Picture

if TYPE_CHECKING:
    import gradio as gr

LOOPBACK = "127.0.0.1"
MAX_QUEUE = 8  # requests that wait; more are turned away
KEEP_FILES_S, CLEANUP_INTERVAL_S = 300, 30
_FORM_BYTES = 1 << 20  # of a request besides the file
_WARM_UP_PX = 192
_MIN_TIMED_MEGAPIXELS = 0.03  # the time of a smaller picture says nothing about larger ones
_PREVIEW = ".preview.jpg"  # after the name of a photo that browsers cannot show
_SHOWN = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")  # what all browsers show
_PREVIEW_PX = 1024
_INTRODUCTION = """\
# Genga
Redraw a photo in the style of a film. It is sent to the machine that serves this page and nowhere else, and deleted within \
{minutes} minutes. Photos of up to {megapixels:g} megapixels and {upload:g} MB."""


@dataclass(frozen=True)
class DemoOptions:
    """Options of the server."""

    host: str = LOOPBACK
    port: int | None = None
    """None for the first free one from 7860."""
    max_megapixels: float = 50.0
    max_upload_mb: float = 30.0
    time_limit_s: float = 120.0
    """Photos that would take longer are refused."""
    device: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server.

        Raises:
            UserError: the host is no address.
        """
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            raise UserError(f"--host {self.host} is no address: give {LOOPBACK}, or 0.0.0.0 for all networks") from None


class TimedStylizer:
    """A stylizer that refuses photos which would take too long, since a network cannot be stopped midway."""

    def __init__(self, stylizer: Stylizer, time_limit_s: float) -> None:
        """Redraw noise, to find out how long a megapixel takes; photos expected to take over `time_limit_s` are refused."""
        self._stylizer, self._time_limit_s = stylizer, time_limit_s
        self._s_per_megapixel = 0.0
        noise = np.random.default_rng(0).integers(0, 256, (_WARM_UP_PX, _WARM_UP_PX, 3), np.uint8)
        for _ in range(2):  # the first run is slower than all others
            self._stylize(noise)

    def __call__(self, photo: Photo, options: RenderOptions) -> Picture:
        """Return the redrawn photo, rendered with the options: uint8 HxWx3, or HxWx4 if it has transparency.

        Raises:
            UserError: the photo is over the limit of size or time, or memory does not suffice.
        """
        megapixels = self._stylizer.network_megapixels(*photo.picture.shape[:2])
        expected_s = megapixels * self._s_per_megapixel
        if expected_s > self._time_limit_s:
            raise UserError(
                f"{megapixels:.3g} megapixels would take about {expected_s:.0f} s, over the limit of {self._time_limit_s:g} s: "
                f"shrink the photo to {self._time_limit_s / self._s_per_megapixel:.2g} megapixels"
            )
        opaque = photo.picture if photo.alpha is None else arrays.fill_transparent(photo.picture, photo.alpha)
        return options.render(photo, self._stylize(opaque))

    def _stylize(self, picture: Picture) -> Picture:
        start = time.monotonic()
        drawing = self._stylizer(picture)
        megapixels = self._stylizer.network_megapixels(*picture.shape[:2])
        if megapixels >= _MIN_TIMED_MEGAPIXELS:
            self._s_per_megapixel = (time.monotonic() - start) / megapixels
        return drawing


def serve(models: Sequence[Path], options: DemoOptions) -> None:
    """Serve the page until interrupted.

    Args:
        models: generators' safetensors files or ONNX files.

    Raises:
        UserError: Gradio is not installed, a file is no model, or the host is no address, or the port is taken.
    """
    is_local = options.is_local
    stylizers = {
        name: TimedStylizer(open_model(path, options.device, options.max_megapixels), options.time_limit_s)
        for name, path in name_models(models).items()
    }
    multiprocessing.util.get_temp_dir()  # or it would lie in the folder that ends before Python does
    previous = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="genga-demo-") as folder, signals.deferred_signals() as stop:
        _configure_gradio(Path(folder))
        try:
            page = build(stylizers, Path(folder), options)
            url = _launch(page, options)
            if not is_local:
                log.warning("anyone who reaches %s can use this page, without a password and unencrypted", options.host)
            print(f"Demo at {url}\nCtrl-C ends it.", flush=True)
            while stop.signal is None:
                time.sleep(0.1)
            page.close(verbose=False)
        finally:
            tempfile.tempdir = previous


def _configure_gradio(folder: Path) -> None:
    """Set what Gradio reads from the environment when it is imported: none of the user's settings, no other folder."""
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ |= {
        "GRADIO_TEMP_DIR": str(folder),
        "GRADIO_EXAMPLES_CACHE": str(folder),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    tempfile.tempdir = str(folder)  # for uploads in progress
    logging.getLogger("httpx").setLevel(logging.WARNING)  # Gradio checks whether it is up


def build(stylizers: Mapping[str, TimedStylizer], folder: Path, options: DemoOptions) -> gr.Blocks:
    """Build the page.

    Args:
        stylizers: by the models' names on the page.
        folder: for results, each in a new folder; photos outside of it are refused.
    """
    ui = _gradio()

    def redraw(upload: Any, model: Any, strength: Any, keep_color: Any) -> tuple[tuple[str, str], Any]:
        try:
            if upload is None:
                raise UserError("choose a photo first")
            if model not in stylizers or not isinstance(strength, int | float) or not 0 <= strength <= 1:
                raise UserError("reload the page: there is no such choice")
            photo = _read(upload, folder, options)
            result = stylizers[model](photo, RenderOptions(float(strength), keep_color is True))
            target = folder / secrets.token_urlsafe(16)
            before, after = target / "photo.png", target / f"{_name_of(upload).stem}-{model}.png"
            target.mkdir()
            images.write(before, photo.picture if photo.alpha is None else np.dstack([photo.picture, photo.alpha]))
            images.write(after, result)
        except UserError as error:
            raise ui.Error(str(error), title="That did not work", duration=None, print_exception=False) from None
        return (str(before), str(after)), ui.update(value=str(after), interactive=True)

    def preview(upload: Any) -> Any:
        """Show a picture of a photo that browsers cannot show (HEIC, TIFF); the photo stays what is redrawn."""
        if upload is None or _name_of(upload).suffix.lower() in _SHOWN:
            return ui.skip()
        try:
            picture = _read(upload, folder, options).picture
        except UserError:
            return ui.skip()  # said when it is to be redrawn
        shown = Path(upload["path"] + _PREVIEW)
        images.write(shown, arrays.shrink(picture, _PREVIEW_PX))
        return str(shown)

    introduction = _INTRODUCTION.format(
        minutes=math.ceil((KEEP_FILES_S + CLEANUP_INTERVAL_S) / 60),
        megapixels=options.max_megapixels,
        upload=options.max_upload_mb,
    )
    with ui.Blocks(analytics_enabled=False, title="Genga", delete_cache=(CLEANUP_INTERVAL_S, KEEP_FILES_S)) as page:
        ui.Markdown(introduction)
        with ui.Row(equal_height=False):
            with ui.Column(scale=1, min_width=280):
                photo = ui.Image(label="Photo", sources=["upload", "webcam", "clipboard"], type="filepath", buttons=[])
                model = ui.Radio(list(stylizers), value=next(iter(stylizers)), label="Model", visible=len(stylizers) > 1)
                strength = ui.Slider(0, 1, 1, step=0.05, label="Strength", info="0 is the photo, 1 the drawing")
                keep_color = ui.Checkbox(label="Keep the photo's colors", info="with the brightness of the drawing")
                button = ui.Button("Redraw", variant="primary")
            with ui.Column(scale=2, min_width=280):
                slider = ui.ImageSlider(label="Before and after", format="png", type="filepath", buttons=["fullscreen"])
                line = ui.Slider(0, 100, 50, step=1, label="Line between before and after", info="or drag it", buttons=[])
                download = ui.DownloadButton("Download as PNG", interactive=False)
        photo.upload(preview, photo, photo, api_name="preview", preprocess=False, show_progress="hidden")
        # The picture's own line cannot be reached by keyboard.
        line.input(None, line, slider, js="at => ({__type__: 'update', slider_position: at})", api_visibility="private")
        # preprocess=False: Gradio checks where the file lies and leaves decoding to pipeline.media.images.
        button.click(
            redraw, [photo, model, strength, keep_color], [slider, download], api_name="redraw",
            preprocess=False, concurrency_limit=1,
        )  # fmt: skip
    for block in page.blocks.values():
        _refuse_urls(block)
    queued: gr.Blocks = page.queue(max_size=MAX_QUEUE, default_concurrency_limit=1)
    return queued


def _refuse_urls(block: Any) -> None:
    """Keep a block of the page from fetching pictures that are given by URL."""
    move = block.async_move_resource_to_block_cache

    async def move_local(path: str | Path | None) -> str | None:
        if path is not None and re.match(r"\s*\w+:/", str(path)):
            raise _gradio().Error("send the photo itself, not its address", print_exception=False)
        moved: str | None = await move(path)
        return moved

    block.async_move_resource_to_block_cache = move_local


def _read(upload: Any, folder: Path, options: DemoOptions) -> Photo:
    path = Path(upload["path"]).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise UserError("send the photo itself, not a path")
    path = path.with_name(path.name.removesuffix(_PREVIEW))
    try:
        data = path.read_bytes()
    except OSError:
        raise UserError("the photo has been deleted, as all are after some minutes: choose it again") from None
    return bounded.read_photo(_name_of(upload), options.max_megapixels, data, options.time_limit_s)


def _name_of(upload: Any) -> Path:
    """Return the photo's own name, without characters that a page or a file system could misunderstand."""
    name = Path(str(upload.get("orig_name") or "photo")).name.removesuffix(_PREVIEW)
    name = re.sub(r"[^\w. ()-]+", "_", name)[-80:].lstrip(". ")
    return Path(name or "photo")


def _launch(page: gr.Blocks, options: DemoOptions) -> str:
    """Start the server and return its address."""
    from starlette.middleware import Middleware

    from pipeline.commands.demo_guard import Guard

    ui = _gradio()
    max_bytes = int(options.max_upload_mb * 1e6)
    hosts = frozenset({LOOPBACK, "localhost", options.host, f"[{options.host}]"} if options.is_local else ())
    guard = Middleware(Guard, max_bytes=max_bytes + _FORM_BYTES, hosts=hosts)
    try:
        _, url, _ = page.launch(
            server_name=options.host,
            server_port=options.port,
            share=False,
            prevent_thread_lock=True,
            quiet=True,
            footer_links=[],
            run_history=False,
            allowed_paths=[],
            max_file_size=max_bytes,
            enable_monitoring=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            theme=ui.themes.Base(
                font=["system-ui", "Segoe UI", "Roboto", "sans-serif"],
                font_mono=["ui-monospace", "monospace"],
                primary_hue="blue",
            ),
            app_kwargs={"middleware": [guard], "docs_url": None, "redoc_url": None, "openapi_url": None},
        )
    except OSError as error:
        port = options.port or "any port from 7860"
        raise UserError(f"cannot listen on {options.host}:{port} ({error}): give another --port or --host") from None
    return str(url)


def _gradio() -> Any:
    try:
        import gradio
    except ImportError:
        raise UserError("the page needs Gradio, which is not installed: pip install gradio") from None
    return gradio
