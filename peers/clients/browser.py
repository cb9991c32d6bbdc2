"""Chromium without a window, told what to do over its DevTools protocol."""

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from case import LARGE, STREAM, main, told_to_leave
from websockets.sync.client import connect

FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --disable-dev-shm-usage --remote-debugging-port=0""".split()


class Browser:
    def __enter__(self):
        self.open_things = contextlib.ExitStack()
        self.folder = tempfile.mkdtemp(dir=os.environ.get("PEERS_TEMPORARY"))
        command = ["chromium", *FLAGS, f"--user-data-dir={self.folder}", "about:blank"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.socket = self.open_things.enter_context(connect(self.address(), max_size=None, compression=None))
            self.ids, self.told, self.session = itertools.count(1), [], None
            target = self.ask("Target.createTarget", url="about:blank")["targetId"]
            self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            self.ask("Page.enable")
            self.ask("Network.enable")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.open_things.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def address(self):
        path = os.path.join(self.folder, "DevToolsActivePort")
        for _ in range(600):
            if os.path.exists(path) and len(lines := open(path).read().split("\n")) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            assert self.process.poll() is None, "chromium has ended"
            time.sleep(0.05)
        raise AssertionError("chromium does not start")

    def ask(self, method, **params):
        message = {"id": next(self.ids), "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv(90))
            if answer.get("id") == message["id"]:
                assert "error" not in answer, answer
                return answer["result"]
            self.told.append(answer)

    def event(self, method):
        while True:
            for position, event in enumerate(self.told):
                if event.get("method") == method:
                    return self.told.pop(position)["params"]
            self.told.append(json.loads(self.socket.recv(90)))

    def events(self, method):
        """Those that were told until now."""
        return [event["params"] for event in self.told if event.get("method") == method]

    def open(self, url):
        """As if typed by a user; the text of the page."""
        self.told.clear()
        answer = self.ask("Page.navigate", url=url)
        assert "errorText" not in answer, answer
        self.event("Page.loadEventFired")
        return self.run("document.body.innerText")

    def run(self, script):
        """The value of an expression, awaited."""
        answer = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")


def page(run):
    """On the first page of the server, since scripts may only ask where they come from."""

    def case(address):
        with Browser() as browser:
            browser.open(f"http://{address}/")
            run(browser, address)

    return case


@page
def get(browser, address):
    for answer, wanted in [
        (browser.run("document.querySelector('h1').innerText"), "It works"),
        (browser.open(f"http://{address}/file").split("\n")[0], "# Real peers"),
        (browser.open(f"http://{address}/nowhere"), "There is nothing here.\n"),
    ]:
        assert answer == wanted, answer


@page
def keep_alive(browser, address):
    browser.told.clear()
    browser.run("(async () => { for (let n = 0; n < 5; n++) await (await fetch('/nowhere')).text() })()")
    fetches = [event for event in browser.events("Network.responseReceived") if event["type"] == "Fetch"]
    responses = [event["response"] for event in fetches]
    # Two at most: it opens a second one before it is needed.
    assert len(responses) == 5 and len({response["connectionId"] for response in responses}) <= 2, responses
    assert all(response["connectionReused"] for response in responses[-3:]), responses


@page
def head(browser, address):
    script = "fetch('%s', { method: 'HEAD' }).then(response => response.text())"
    for target in ["/", "/stream?every=1", "/nowhere"]:
        assert browser.run(script % target) == ""


@page
def echo(browser, address):
    assert browser.run("fetch('/echo', { method: 'POST', body: 'hello' }).then(r => r.text())") == "hello"
    # And as a user does it, with the form of the page.
    browser.told.clear()
    browser.run("document.querySelector('form button').click()")
    browser.event("Page.loadEventFired")
    answer = browser.run("location.pathname + ' ' + document.body.innerText")
    assert answer == "/echo say=hello\n", repr(answer)


@page
def stream(browser, address):
    script = """(async () => {
        const reader = (await fetch('/stream?every=300')).body.getReader(), parts = []
        for (;;) {
            const { done, value } = await reader.read()
            if (done) return parts
            parts.push(new TextDecoder().decode(value))
        }
    })()"""
    parts = browser.run(script)
    # It reads when it has time, so that two may have come: but not all of them.
    assert "".join(parts) == STREAM and len(parts) > 1, parts
    answer = browser.open(f"http://{address}/stream?every=1")
    assert answer == STREAM, answer


COUNT = """(async (response) => {
    const reader = (await response).body.getReader()
    for (let count = 0;;) {
        const { done, value } = await reader.read()
        if (done) return count
        count += value.length
    }
})"""


@page
def download_100_mb(browser, address):
    assert browser.run(f"{COUNT}(fetch('/large?bytes={LARGE}'))") == LARGE


UPLOAD = "fetch('%s', { method: 'POST', body: new Uint8Array(%d) })"


@page
def upload_100_mb(browser, address):
    assert browser.run(f"{UPLOAD % ('/count', LARGE)}.then(r => r.text())") == f"{LARGE}\n"


@page
def early_response(browser, address):
    assert browser.run(f"{UPLOAD % ('/early', LARGE)}.then(r => r.text())") == "I have read none of it.\n"


@page
def leaves(browser, address):
    browser.run("window.left = new AbortController, fetch('/wait', { signal: left.signal }).catch(() => 0), 1")
    told_to_leave()
    browser.run("left.abort()")
    told_to_leave()  # when it was seen; the end of the browser would be no proof


@page
def websocket(browser, address):
    script = """new Promise((resolve, reject) => {
        const socket = new WebSocket('ws://%s/websocket'), echoes = []
        socket.onopen = () => { socket.send('hello'); socket.send('ö'.repeat(100000)); socket.send(new Uint8Array(1000000)) }
        socket.onmessage = ({ data }) => echoes.push(data.length || data.size) == 3 && socket.close(1000)
        socket.onclose = ({ code }) => resolve([code, ...echoes])
        socket.onerror = reject
    })"""
    answer = browser.run(script % address)
    assert answer == [1000, 5, 100000, 1000000], answer


# Ended from outside, it ends its browser too.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
main(
    globals(),
    {
        "echo_of_100_mb": "it writes all before it reads, so that an echo of more than the buffers hold stops both",
        "chunked_echo": "a browser streams an upload over HTTP/2 only",
        "expectation": "a browser expects nothing",
    },
)
