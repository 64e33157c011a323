"""A real headless Chromium, driven over a pipe: for pages that go on after they are loaded."""

import base64
import json
import os
import shutil
import signal
import subprocess
import time

import harness

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--disable-extensions", "--hide-scrollbars", "--remote-debugging-pipe",
]  # fmt: skip
STARTING = 60  # seconds that it may take to answer first, on a machine that is busy


class Page:
    """One page, which notes all that it asks for and complains of."""

    def __init__(self, browser, target, session):
        self._browser, self._target, self._session = browser, target, session
        self.requests, self.complaints = [], []

    def tell(self, method, **parameters):
        return self._browser.tell(method, parameters, self._session)

    def note(self, method, parameters):
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(str(parameters["args"]))
        elif method == "Log.entryAdded":
            self.complaints.append(parameters["entry"]["text"])

    def resize(self, width, height):
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=False)  # fmt: skip

    def prefer(self, scheme):
        """"light" or "dark"."""
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, url):
        self.tell("Page.navigate", url=url)

    def close(self):
        self._browser.tell("Target.closeTarget", {"targetId": self._target})

    def evaluate(self, expression):
        told = self.tell("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def eventually(self, expression):
        return harness.eventually(lambda: self.evaluate(expression), what=expression)

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText")

    def picture(self, path):
        path.write_bytes(base64.b64decode(self.tell("Page.captureScreenshot", format="png")["data"]))


class Browser:
    def __init__(self, directory):
        program = shutil.which("chromium")
        assert program, "no chromium: it is one of the packages that `make test` installs"
        theirs, self._out = os.pipe()
        self._in, answers = os.pipe()
        # It reads from 3 and writes to 4, where a shell puts what may have other numbers here.
        self._process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" 3</dev/fd/{theirs} 4>/dev/fd/{answers}', "sh", program, *FLAGS,
             f"--user-data-dir={directory}", "about:blank"],
            pass_fds=(theirs, answers), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
        os.close(theirs)
        os.close(answers)
        self._buffer, self._count, self._pages = b"", 0, {}

    def _receive(self):
        while b"\0" not in self._buffer:
            got = os.read(self._in, 1 << 20)
            assert got, "chromium has ended"
            self._buffer += got
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def tell(self, method, parameters=None, session=None):
        self._count += 1
        order = {"id": self._count, "method": method, "params": parameters or {}}
        os.write(self._out, json.dumps(order | ({"sessionId": session} if session else {})).encode() + b"\0")
        deadline = time.monotonic() + STARTING
        while time.monotonic() < deadline:
            message = self._receive()
            if message.get("id") == self._count:
                assert "error" not in message, message
                return message["result"]
            if message.get("sessionId") in self._pages:
                self._pages[message["sessionId"]].note(message["method"], message["params"])
        raise AssertionError(f"no answer to {method}")

    def page(self):
        target = self.tell("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.tell("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = self._pages[session] = Page(self, target, session)
        for domain in ("Page", "Network", "Runtime", "Log"):
            page.tell(f"{domain}.enable")
        return page

    def close(self):
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
