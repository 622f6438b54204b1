"""ASGI middleware around Gradio: only the requests that the page needs get through."""

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALLOWED_PATHS = re.compile(
    r"/(|config|theme\.css|favicon\.ico|manifest\.json|(assets|static|svelte)/.*|"
    r"gradio_api/(info|startup-events|upload|upload_progress|reset|cancel|queue/(join|data)|heartbeat/[^/]*|"
    r"call/.*|file=(?!\w+:).*))",
    re.ASCII,
)
_RESPONSE_HEADERS = {
    # Gradio's page needs inline scripts; but whatever they request, the browser contacts no other host.
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; base-uri 'self'; "
    "form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses every request that is not known to be harmless: Gradio can also fetch from other hosts, and much else."""

    def __init__(self, app: ASGIApp, max_bytes: int, hosts: frozenset[str]) -> None:
        """Wrap an application.

        Args:
            max_bytes: largest request body.
            hosts: accepted Host headers, without port; empty for any.
        """
        self._app, self._max_bytes, self._hosts = app, max_bytes, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with 403, 404, 411 or 413; connections that are not HTTP are dropped."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_RESPONSE_HEADERS)
            await send(message)

        refusal = self._refusal(scope)
        app = self._app
        if refusal is not None:
            status, text = refusal
            app = PlainTextResponse(text, status, {"Connection": "close"})
        await app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return the status and text with which to refuse a request, if it is to be refused."""
        headers = Headers(scope=scope)
        # DNS rebinding: another site's page whose name was made to point here sends that name.
        if self._hosts and re.sub(r":\d*$", "", headers.get("host", "")) not in self._hosts:
            return 403, "open the address that genga demo printed"
        if not _ALLOWED_PATHS.fullmatch(scope["path"]):
            return 404, "not found"
        if scope["method"] == "POST":
            length = headers.get("content-length", "")
            if not (length.isascii() and length.isdecimal()):
                return 411, "send a Content-Length"
            if len(length) > 12 or int(length) > self._max_bytes:
                return 413, f"over the limit of {self._max_bytes / 1e6:.0f} MB"
        return None
