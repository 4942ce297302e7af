"""What the tests of reports share: a short run with findings, and a browser driven over its own debugging pipe.

The browser speaks the Chrome DevTools Protocol: JSON texts, each ended by a zero byte, on its descriptors 3 and 4.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from diffloom import config
from diffloom.config import Resolved
from diffloom.plugins import load_plugins
from diffloom.sentinel import Finding
from diffloom.training import train
from diffloom.training.findings import FindingsFile

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
PATIENCE_SECONDS = 60
"""How long an answer may take on a busy machine."""
FILE = """\
extends: diffloom:digits
backbone: {channels: [8, 16], blocks_per_level: 1, head_channels: 8, norm_groups: 4}
sampling: {steps: 2}
train:
  steps: 12
  batch_size: 4
  lr_schedule: {warmup_steps: 4}
  log_every: 1
  sample_every: 4
  checkpoint_every: 6
  sentinel: {every: null}
"""
HOSTILE = "measured </script><script>alert('caption')</script> & <b>more</b>"
"""A text that would change the page, were it markup."""


@pytest.fixture(scope="session")
def resolved(tmp_path_factory: pytest.TempPathFactory) -> Resolved:
    """A configuration whose values come from a shipped file, its own file, an override and the data."""
    path = tmp_path_factory.mktemp("configs") / "small.yaml"
    path.write_text(FILE)
    return config.load(path, ["train.lr=0.004"], registry=load_plugins().registry)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, resolved: Resolved) -> Path:
    """A finished run of 12 steps in which something was found. Tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    train(resolved, folder, plugins=load_plugins(), device="cpu")
    findings = FindingsFile(folder / "findings.jsonl", step=12)
    findings.write(Finding(step=5, cause="loader-starved", text=HOSTILE))
    findings.write(Finding(step=9, cause="ema-frozen", text="it has not moved for 3 steps"))
    return folder


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """The run, to be changed."""
    return shutil.copytree(run, tmp_path / "small")


@pytest.fixture(scope="session")
def rows_of() -> Callable[[Path], list[dict[str, float]]]:
    """The rows of a run's metrics.jsonl."""
    return lambda folder: [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


class Page:
    """A tab."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session: str = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.call(method, session=self.session, **parameters)

    def open(self, path: Path, *, width: int, height: int = 900, dark: bool = False) -> None:
        """Open a file at a size in pixels, below 600 as a phone does."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.call("Page.navigate", url=path.as_uri())
        self.browser.until(lambda: bool(self.events("Page.loadEventFired")))
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def click(self, selector: str) -> None:
        """Press the mouse's button on an element, as a hand would."""
        place = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{place}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        x, y = self.run(
            f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])({place}.getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def events(self, method: str) -> list[dict[str, Any]]:
        """What the browser told of this tab so far."""
        return [
            event["params"]
            for event in self.browser.events
            if event.get("sessionId") == self.session and event["method"] == method
        ]

    @property
    def complaints(self) -> list[Any]:
        """Errors and warnings on the console, and exceptions."""
        said = [
            event
            for event in self.events("Runtime.consoleAPICalled")
            if event["type"] in ("error", "warning")
        ]
        return [*said, *self.events("Runtime.exceptionThrown"), *self.events("Log.entryAdded")]

    @property
    def requests(self) -> list[str]:
        """Addresses that were asked for."""
        return [event["request"]["url"] for event in self.events("Network.requestWillBeSent")]


class Browser:
    """A browser without a window."""

    def __init__(self, program: str, profile: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self._number, self._heard = 0, b""
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        # Above 4, so that neither of the child's two descriptors is overwritten before it is copied.
        high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10) for descriptor in (theirs_in, theirs_out)]
        flags = [
            "--headless=new",
            "--no-sandbox",  # continuous integration runs as root
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
        ]
        null = os.open(os.devnull, os.O_RDWR)
        actions = [
            *((os.POSIX_SPAWN_DUP2, descriptor, place) for place, descriptor in enumerate(high, 3)),
            *((os.POSIX_SPAWN_DUP2, null, place) for place in (1, 2)),
        ]
        self._pid = os.posix_spawn(
            program, [program, *flags, "about:blank"], os.environ, file_actions=actions
        )
        for descriptor in (*high, theirs_in, theirs_out, null):
            os.close(descriptor)
        self._in, self._out = ours_in, ours_out

    def call(self, method: str, *, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Ask for something and wait for the answer."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters} | (
            {"sessionId": session} if session else {}
        )
        os.write(self._out, json.dumps(message).encode() + b"\0")
        answers: list[dict[str, Any]] = []
        self.until(lambda: bool(answers), answers=answers, number=number)
        assert "error" not in answers[0], f"{method}: {answers[0]['error']}"
        result: dict[str, Any] = answers[0]["result"]
        return result

    def until(
        self,
        is_so: Callable[[], bool],
        *,
        answers: list[dict[str, Any]] | None = None,
        number: int | None = None,
    ) -> None:
        """Listen until something is so."""
        last = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            ready, _, _ = select.select([self._in], [], [], max(0, last - time.monotonic()))
            assert ready, "the browser does not answer"
            heard = os.read(self._in, 1 << 16)
            assert heard, "the browser has ended"
            *messages, self._heard = (self._heard + heard).split(b"\0")
            for message in map(json.loads, messages):
                if "id" not in message:
                    self.events.append(message)
                elif message["id"] == number and answers is not None:
                    answers.append(message)

    def close(self) -> None:
        self.call("Browser.close")
        os.close(self._out)
        os.close(self._in)
        os.waitpid(self._pid, 0)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The browser on PATH."""
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.fail(
            f"reports are looked at in a browser, and none of {', '.join(BROWSERS)} is on PATH; install one: "
            "`apt-get install chromium`, or `brew install --cask chromium`",
            pytrace=False,
        )
    browser = Browser(program, tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture
def tab(browser: Browser) -> Page:
    """A fresh tab."""
    return Page(browser)
