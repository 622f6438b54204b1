"""A page in headless Chromium, for tests, controlled by the DevTools protocol over a pipe: no driver or package is needed."""

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

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PLACES = (
    "/usr/lib/chromium/chromium",
    "/opt/google/chrome/chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
TIMEOUT_S = 60.0
# Chromium reads commands from file descriptor 3 and writes replies to 4. It is started without the capability SYS_NICE (prctl
# PR_CAPBSET_DROP, CAP_SYS_NICE): with it, as root, it gives threads real-time priority, and one that spins stops the machine.
_LAUNCH = """
import ctypes, fcntl, os, sys
ctypes.CDLL(None).prctl(24, 23, 0, 0, 0)
for end, place in [(fcntl.fcntl(int(end), fcntl.F_DUPFD, 10), place) for end, place in zip(sys.argv[1:3], (3, 4))]:
    os.dup2(end, place)
os.execvp(sys.argv[3], sys.argv[3:])
"""


def find_browser() -> str | None:
    """The path of an installed Chromium or Chrome: $GENGA_BROWSER, a name on the PATH, or a usual place."""
    candidates = (os.environ.get("GENGA_BROWSER", ""), *NAMES, *PLACES)
    return next(filter(None, map(shutil.which, candidates)), None)


class Page:
    """An open page of the browser."""

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
        """Send a DevTools command and return its result; errors that the page reports meanwhile are added to `errors`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (reply := self._receive()).get("id") != self._number:
            pass
        assert "error" not in reply, (method, reply["error"])
        return reply["result"]

    def _receive(self) -> Any:
        while b"\0" not in self._rest:
            assert select.select([self._events], [], [], TIMEOUT_S)[0], "the browser does not answer"
            more = os.read(self._events, 1 << 16)
            assert more, "the browser has ended"
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(line)
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(message["params"]["exceptionDetails"]))
        elif message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
            self.errors.append(str(message["params"]["entry"]))
        return message

    def run(self, script: str) -> Any:
        """Evaluate a JavaScript expression, awaiting promises, and return its value."""
        reply = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in reply, (script, reply["exceptionDetails"])
        return reply["result"].get("value")

    def wait(self, script: str) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + TIMEOUT_S
        while not self.run(f"!!({script})"):
            assert time.monotonic() < end, (script, self.errors)
            time.sleep(0.05)

    def open(self, url: str) -> None:
        """Go to an address and wait until it is loaded."""
        reply = self.send("Page.navigate", url=url)
        assert "errorText" not in reply, reply
        while self._receive().get("method") != "Page.loadEventFired":
            pass

    def press(self, key: str, shift: bool = False) -> None:
        """Press and release a key of the keyboard."""
        text = key if len(key) == 1 else "\r" if key == "Enter" else ""
        event = {
            "key": key,
            "modifiers": 8 if shift else 0,
            "windowsVirtualKeyCode": {"Enter": 13, "Tab": 9, "Escape": 27}.get(key, 0),
        }
        self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **event)
        self.send("Input.dispatchKeyEvent", type="keyUp", **event)

    def click(self, selector: str) -> None:
        """Click the left mouse button on the middle of an element."""
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def set_window(self, width: int, height: int, scheme: str = "light") -> None:
        """Set the size of the window and the preferred color scheme."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, path: Path) -> None:
        """Write a screenshot (PNG)."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))


@contextmanager
def browse(profile: Path, *more: str, gpu: bool = False) -> Iterator[Page]:
    """Open a page in a new Chromium with `more` options; without one, skip the test, or fail if GENGA_NEEDS_BROWSER is set."""
    program = find_browser()
    if program is None:
        if os.environ.get("GENGA_NEEDS_BROWSER"):
            pytest.fail(f"no browser: none of {', '.join(NAMES)} is installed")
        pytest.skip("no Chromium or Chrome: apt-get install chromium, or set GENGA_BROWSER to the program")
    browser_in, commands = os.pipe()
    events, browser_out = os.pipe()
    options = [
        "--headless", "--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-first-run", *more,
        *([] if gpu else ["--disable-gpu"]),
        "--disable-background-networking", "--disable-dev-shm-usage",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),  # which Chromium's sandbox needs in a container
    ]  # fmt: skip
    with (profile.parent / "browser.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, str(browser_in), str(browser_out), program, *options],
            pass_fds=(browser_in, browser_out), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    os.close(browser_in)
    os.close(browser_out)
    try:
        page = Page(commands, events)
        yield page
    finally:
        os.close(commands)  # Chromium ends when its pipe does
        os.close(events)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
