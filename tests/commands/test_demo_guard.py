"""The middleware before Gradio: what gets through, what is refused, and which headers all answers have."""

from __future__ import annotations

import asyncio
import importlib.util

import pytest

if importlib.util.find_spec("starlette") is None:
    pytest.skip("Gradio is not installed: pip install gradio", allow_module_level=True)

from starlette.responses import PlainTextResponse
from starlette.types import Message

from pipeline.commands.demo_guard import Guard

HOSTS = frozenset({"127.0.0.1", "localhost"})


def ask(path: str, method: str = "GET", hosts: frozenset[str] = HOSTS, **headers: str) -> tuple[int, dict[str, str]]:
    """Status and headers of the answer to a request."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    given = {"host": "127.0.0.1:7860", **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "path": path,
        "method": method,
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    guard = Guard(PlainTextResponse("let through", headers={"Cache-Control": "public"}), 1000, hosts)
    asyncio.run(guard(scope, receive, send))
    start = sent[0]
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}


@pytest.mark.parametrize(
    "path", ["/", "/config", "/assets/a.js", "/gradio_api/queue/join", "/gradio_api/call/redraw", "/gradio_api/file=/tmp/a.png"]
)
def test_requests_of_the_page_get_through(path: str) -> None:
    assert ask(path)[0] == 200


@pytest.mark.parametrize(
    "path",
    ["/monitoring", "/openapi.json", "/gradio_api/proxy=http://a.b", "/gradio_api/file=http://a.b/c.png", ""],
)
def test_other_requests_do_not(path: str) -> None:
    assert ask(path)[0] == 404


def test_a_name_that_was_made_to_point_here_is_refused() -> None:
    assert ask("/", host="evil.example:7860")[0] == 403
    assert ask("/", host="localhost:7860")[0] == 200
    assert ask("/", host="localhost")[0] == 200, "on port 80, or behind a proxy"
    assert ask("/", hosts=frozenset(), host="anything:7860")[0] == 200


def test_uploads_state_their_size_and_keep_to_the_limit() -> None:
    assert ask("/gradio_api/upload", "POST", content_length="1000")[0] == 200
    assert ask("/gradio_api/upload", "POST", content_length="1001")[0] == 413
    assert ask("/gradio_api/upload", "POST", content_length="9" * 20)[0] == 413
    assert ask("/gradio_api/upload", "POST")[0] == ask("/gradio_api/upload", "POST", content_length="-1")[0] == 411


@pytest.mark.parametrize("path", ["/", "/no/such/path"])
def test_every_answer_forbids_other_hosts_and_caching(path: str) -> None:
    headers = ask(path)[1]
    assert "default-src 'self'" in headers["content-security-policy"] and headers["cache-control"] == "no-store"


def test_other_protocols_are_ignored() -> None:
    async def receive() -> Message:
        raise AssertionError("called")

    async def send(message: Message) -> None:
        raise AssertionError("called")

    asyncio.run(Guard(PlainTextResponse(""), 1000, HOSTS)({"type": "websocket"}, receive, send))
