"""A page in headless Chromium, for tests: spoken to by DevTools over a pipe, so that Chromium itself is all it takes."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE_S = 60.0
# Chromium reads commands from file descriptor 3 and writes to 4.
_LAUNCH = """
import fcntl, os, sys
for end, place in [(fcntl.fcntl(int(end), fcntl.F_DUPFD, 10), place) for end, place in zip(sys.argv[1:3], (3, 4))]:
    os.dup2(end, place)
os.execvp(sys.argv[3], sys.argv[3:])
"""


class Page:
    """One open page."""

    def __init__(self, commands: int, events: int) -> None:
        self._commands, self._events = commands, events
        self._number, self._rest = 0, b""
        self._session: str | None = None
        self.errors: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> Any:
        """A command's result; what the page complains about meanwhile goes to `errors`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (told := self._receive()).get("id") != self._number:
            pass
        assert "error" not in told, (method, told["error"])
        return told["result"]

    def _receive(self) -> Any:
        while b"\0" not in self._rest:
            assert select.select([self._events], [], [], PATIENCE_S)[0], "the browser says nothing"
            more = os.read(self._events, 1 << 16)
            assert more, "the browser has ended"
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\0")
        told = json.loads(line)
        if told.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(told["params"]["exceptionDetails"]))
        elif told.get("method") == "Log.entryAdded" and told["params"]["entry"]["level"] == "error":
            self.errors.append(str(told["params"]["entry"]))
        return told

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited."""
        told = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, (script, told["exceptionDetails"])
        return told["result"].get("value")

    def wait(self, script: str) -> None:
        """Until an expression is true."""
        end = time.monotonic() + PATIENCE_S
        while not self.run(f"!!({script})"):
            assert time.monotonic() < end, (script, self.errors)
            time.sleep(0.05)

    def open(self, url: str) -> None:
        """Go to an address and wait until it is loaded."""
        told = self.send("Page.navigate", url=url)
        assert "errorText" not in told, told
        while self._receive().get("method") != "Page.loadEventFired":
            pass

    def press(self, key: str, shift: bool = False) -> None:
        """A key, down and up, as from a keyboard."""
        text = key if len(key) == 1 else "\r" if key == "Enter" else ""
        told = {
            "key": key,
            "modifiers": 8 if shift else 0,
            "windowsVirtualKeyCode": {"Enter": 13, "Tab": 9, "Escape": 27}.get(key, 0),
        }
        self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **told)
        self.send("Input.dispatchKeyEvent", type="keyUp", **told)

    def click(self, selector: str) -> None:
        """The left mouse button on the middle of an element."""
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def look(self, width: int, height: int, scheme: str = "light") -> None:
        """Set the window's size and the colours that the person prefers."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, path: Path) -> None:
        """Write a screenshot (PNG)."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))


@contextmanager
def browse(profile: Path, *more: str, gpu: bool = False) -> Iterator[Page]:
    """A page of a Chromium of its own, with `more` options; the test is skipped where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser here: none of {', '.join(NAMES)}")
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    options = [
        "--headless", "--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-first-run", *more,
        *([] if gpu else ["--disable-gpu"]),
        "--disable-background-networking", "--disable-dev-shm-usage",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),  # which Chromium's sandbox needs in a container
    ]  # fmt: skip
    with (profile.parent / "browser.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, str(theirs_in), str(theirs_out), program, *options],
            pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        page = Page(ours_out, ours_in)
        yield page
    finally:
        os.close(ours_out)  # Chromium ends when its pipe does
        os.close(ours_in)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
