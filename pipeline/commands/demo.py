"""`genga demo MODEL...`: a page that redraws photos on this machine, for itself or for those it is shown to. Needs gradio.

Gradio keeps what is uploaded in files: they lie in a private folder, are deleted after minutes, and the folder goes with the
server. Around Gradio stands `Guard`, which lets through only what the page needs.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import os
import re
import secrets
import tempfile
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.core import signals
from pipeline.core.errors import UserError
from pipeline.inference.open_model import open_model
from pipeline.inference.photos import Look
from pipeline.media import arrays, images
from pipeline.media.images import Photo, Picture

if TYPE_CHECKING:
    import gradio as gr

    from pipeline.inference.onnx_stylizer import OnnxStylizer
    from pipeline.inference.openvino_stylizer import OpenVinoStylizer

LOOPBACK = "127.0.0.1"
WAITING = 8  # requests in the queue; more are turned away
KEPT_S = 300
SWEEP_S = 30
MB = 1_000_000
_FORM_BYTES = 1 << 20  # what a request carries besides files
_WARM_UP_PX = 192
_TELLING_MEGAPIXELS = 0.03  # smaller pictures tell nothing of the pace
TEXT = """\
# Genga
Redraw a photo in the look of a film. It goes to the machine that serves this page and nowhere else, and is deleted within \
{minutes} minutes. Photos of up to {megapixels:g} megapixels and {upload:g} MB."""

log = logging.getLogger("genga")


# One photo


class Redrawer:
    """A model, and how long it takes: a photo that would take too long is refused, since a network cannot be stopped midway."""

    def __init__(self, stylizer: OpenVinoStylizer | OnnxStylizer, limit_s: float) -> None:
        self._stylizer, self._limit_s = stylizer, limit_s
        self._s_a_megapixel = 0.0
        noise = np.random.default_rng(0).integers(0, 256, (_WARM_UP_PX, _WARM_UP_PX, 3), np.uint8)
        for _ in range(2):  # the first is slower than any after it
            self._draw(noise)

    def __call__(self, photo: Photo, look: Look) -> Picture:
        """The result, with transparency where the photo has some.

        Raises:
            UserError: over the limit of size or time, or out of memory.
        """
        megapixels = photo.picture.shape[0] * photo.picture.shape[1] / 1e6
        takes_s = megapixels * self._s_a_megapixel
        if takes_s > self._limit_s:
            raise UserError(
                f"{megapixels:.3g} megapixels would take about {takes_s:.0f} s here, over the limit of {self._limit_s:g} s: "
                f"shrink the photo to {self._limit_s / self._s_a_megapixel:.2g} megapixels"
            )
        seen = photo.picture if photo.alpha is None else arrays.fill_transparent(photo.picture, photo.alpha)
        return look.finish(photo, self._draw(seen))

    def _draw(self, picture: Picture) -> Picture:
        start = time.monotonic()
        drawn = self._stylizer(picture)
        megapixels = picture.shape[0] * picture.shape[1] / 1e6
        if megapixels >= _TELLING_MEGAPIXELS:
            self._s_a_megapixel = (time.monotonic() - start) / megapixels
        return drawn


def name_models(models: Sequence[Path]) -> dict[str, Path]:
    """What the page calls each model: its file's name without folders, which are nobody's business; no two alike."""
    names: dict[str, Path] = {}
    for path in models:
        name, number = path.stem, 2
        while name in names:
            name, number = f"{path.stem}-{number}", number + 1
        names[name] = path
    return names


# What is let through

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Message, _Receive, _Send], Awaitable[None]]

_NEEDED = re.compile(
    r"/(|config|theme\.css|favicon\.ico|manifest\.json|(assets|static|svelte)/.*|"
    r"gradio_api/(info|startup-events|upload|upload_progress|reset|cancel|queue/(join|data)|heartbeat/[^/]*|"
    r"call/.*|file=(?!\w+:).*))",
    re.ASCII,
)
_HEADERS = {
    # Gradio's page runs scripts of its own; whatever they ask for, the browser asks nobody but us.
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; base-uri 'self'; "
    "form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Guard:
    """Lets through what the page needs, by name: Gradio's own service fetches from other hosts, too, and much else."""

    def __init__(self, app: _App, max_bytes: int, hosts: frozenset[str]) -> None:
        self._app, self._max_bytes, self._hosts = app, max_bytes, hosts

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_ours(message: _Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                kept = [pair for pair in message.get("headers", []) if pair[0].lower() not in dict(ours)]
                message["headers"] = kept + ours
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send_ours)
            return
        status, text = refusal
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
        await send_ours({"type": "http.response.start", "status": status, "headers": headers})
        await send_ours({"type": "http.response.body", "body": text.encode()})

    def _refusal(self, scope: _Message) -> tuple[int, str] | None:
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        # A page elsewhere whose name was made to point here (DNS rebinding) comes with that name.
        if self._hosts and headers.get(b"host", "").rpartition(":")[0] not in self._hosts:
            return 403, "open the address that genga demo told"
        if not _NEEDED.fullmatch(scope["path"]):
            return 404, "there is no such thing here"
        if scope["method"] == "POST":
            length = headers.get(b"content-length", "")
            if not (length.isascii() and length.isdecimal()):
                return 411, "send a Content-Length"
            if len(length) > 12 or int(length) > self._max_bytes:
                return 413, f"over the limit of {self._max_bytes / MB:.0f} MB"
        return None


# The server


def serve(
    models: Sequence[Path],
    host: str = LOOPBACK,
    port: int | None = None,
    max_megapixels: float = 12.0,
    max_upload_mb: float = 30.0,
    limit_s: float = 120.0,
    device: str | None = None,
) -> None:
    """Serve the page until interrupted.

    Args:
        port: None is the first free one from 7860.
        limit_s: a photo that would take longer is refused beforehand.

    Raises:
        UserError: gradio is not installed, a model is none, or the address is taken.
    """
    try:
        on_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise UserError(f"--host {host} is no address: give {LOOPBACK}, or 0.0.0.0 for all networks") from None
    named = name_models(models)
    redrawers = {}
    for name, path in named.items():
        stylizer = open_model(path, device, max_megapixels)
        stylizer.accelerate()
        redrawers[name] = Redrawer(stylizer, limit_s)
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="genga-demo-") as folder, signals.deferred_signals() as asked:
        _set_gradio_up(Path(folder))
        try:
            page = build(redrawers, Path(folder), max_megapixels, max_upload_mb)
            url = _launch(page, host, port, max_upload_mb, on_loopback)
            if not on_loopback:
                log.warning("anyone who reaches %s can use this page, without a password and unencrypted", host)
            print(f"Demo at {url}\nCtrl-C ends it.", flush=True)
            while asked.by is None:
                time.sleep(0.1)
            page.close(verbose=False)
        finally:
            tempfile.tempdir = before


def _set_gradio_up(folder: Path) -> None:
    """All that Gradio reads from the environment, before it is imported: nothing of the user's, nothing outside the folder."""
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ |= {
        "GRADIO_TEMP_DIR": str(folder),
        "GRADIO_EXAMPLES_CACHE": str(folder),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    tempfile.tempdir = str(folder)  # of uploads that are on their way
    logging.getLogger("httpx").setLevel(logging.WARNING)  # Gradio asks itself whether it is there


def build(redrawers: dict[str, Redrawer], folder: Path, max_megapixels: float, max_upload_mb: float) -> gr.Blocks:
    """The page; results go to new folders in `folder`."""
    ui = _gradio()
    first = next(iter(redrawers))

    def redraw(sent: Any, model: Any, strength: Any, keep_color: Any) -> tuple[tuple[str, str], Any]:
        try:
            if sent is None:
                raise UserError("choose a photo first")
            if model not in redrawers or not isinstance(strength, int | float) or not 0 <= strength <= 1:
                raise UserError("reload the page: there is no such choice")
            photo = _read(sent, folder, max_megapixels)
            result = redrawers[model](photo, Look(float(strength), keep_color is True))
            aside = folder / secrets.token_urlsafe(16)
            shown, made = aside / "photo.png", aside / f"{_name_of(sent).stem}-{model}.png"
            aside.mkdir()
            images.write(shown, photo.picture if photo.alpha is None else np.dstack([photo.picture, photo.alpha]))
            images.write(made, result)
        except UserError as fault:
            raise ui.Error(str(fault), title="That did not work", duration=None, print_exception=False) from None
        return (str(shown), str(made)), ui.update(value=str(made), interactive=True)

    with ui.Blocks(analytics_enabled=False, title="Genga", delete_cache=(SWEEP_S, KEPT_S)) as page:
        ui.Markdown(TEXT.format(minutes=math.ceil((KEPT_S + SWEEP_S) / 60), megapixels=max_megapixels, upload=max_upload_mb))
        with ui.Row(equal_height=False):
            with ui.Column(scale=1, min_width=280):
                photo = ui.Image(label="Photo", sources=["upload", "webcam", "clipboard"], type="filepath", buttons=[])
                model = ui.Radio(list(redrawers), value=first, label="Model", visible=len(redrawers) > 1)
                strength = ui.Slider(0, 1, 1, step=0.05, label="Strength", info="0 is the photo, 1 the drawing")
                keep_color = ui.Checkbox(label="Keep the photo's colours", info="Light and dark are the drawing's")
                button = ui.Button("Redraw", variant="primary")
            with ui.Column(scale=2, min_width=280):
                slider = ui.ImageSlider(label="Before and after", format="png", type="filepath", buttons=["fullscreen"])
                download = ui.DownloadButton("Download as PNG", interactive=False)
        # preprocess=False: Gradio checks where the file lies, and leaves decoding it to pipeline.media.images.
        button.click(
            redraw, [photo, model, strength, keep_color], [slider, download], api_name="redraw",
            preprocess=False, concurrency_limit=1,
        )  # fmt: skip
    for block in page.blocks.values():
        _keep_at_home(block)
    served: gr.Blocks = page.queue(max_size=WAITING, default_concurrency_limit=1)
    return served


def _keep_at_home(block: Any) -> None:
    """Gradio fetches pictures that are given by an address elsewhere: not here."""
    move = block.async_move_resource_to_block_cache

    async def move_local(place: str | Path | None) -> str | None:
        if place is not None and re.match(r"\s*\w+:/", str(place)):
            raise _gradio().Error("send the photo itself, not its address", print_exception=False)
        found: str | None = await move(place)
        return found

    block.async_move_resource_to_block_cache = move_local


def _read(sent: Any, folder: Path, max_megapixels: float) -> Photo:
    path = Path(sent["path"]).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise UserError("send the photo itself, not a path")
    try:
        data = path.read_bytes()
    except OSError:
        raise UserError("the photo was deleted meanwhile, as all are after some minutes: choose it again") from None
    return images.read_photo(_name_of(sent), max_megapixels, data)


def _name_of(sent: Any) -> Path:
    """The photo's name as its owner has it, without what a page or a file system could take for something else."""
    name = re.sub(r"[^\w. ()-]+", "_", Path(str(sent.get("orig_name") or "photo")).name)[-80:].lstrip(". ")
    return Path(name or "photo")


def _launch(page: gr.Blocks, host: str, port: int | None, max_upload_mb: float, on_loopback: bool) -> str:
    from starlette.middleware import Middleware

    ui = _gradio()
    theme = ui.themes.Base(
        font=["system-ui", "Segoe UI", "Roboto", "sans-serif"], font_mono=["ui-monospace", "monospace"], primary_hue="blue"
    )
    guard = Middleware(
        Guard,
        max_bytes=int(max_upload_mb * MB) + _FORM_BYTES,
        hosts=frozenset({LOOPBACK, "localhost", host, f"[{host}]"} if on_loopback else ()),
    )
    try:
        _, url, _ = page.launch(
            server_name=host,
            server_port=port,
            share=False,
            prevent_thread_lock=True,
            quiet=True,
            footer_links=[],
            run_history=False,
            allowed_paths=[],
            max_file_size=int(max_upload_mb * MB),
            enable_monitoring=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            theme=theme,
            app_kwargs={"middleware": [guard], "docs_url": None, "redoc_url": None, "openapi_url": None},
        )
    except OSError as error:
        raise UserError(
            f"{host}:{port or 'any port from 7860'} cannot be had ({error}): give another --port or --host"
        ) from None
    return str(url)


def _gradio() -> Any:
    try:
        import gradio
    except ImportError:
        raise UserError("the page needs gradio, which is not installed: pip install gradio") from None
    return gradio
