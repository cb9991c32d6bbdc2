"""curl, one process for each case."""

import json
import os
import subprocess
import sys
import tempfile

from case import LARGE, STREAM, main, told_to_leave


def curl(*arguments, stdin=b""):
    """Head and body of the last response, what was told with -v, and the figures of all transfers."""
    command = ["curl", "--silent", "--show-error", "--verbose", "--max-time", "60"]
    done = subprocess.run([*command, *arguments], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    return done.stdout, done.stderr.decode()


def get(address):
    body, told = curl(f"http://{address}/")
    assert b"<h1>It works</h1>" in body and "< HTTP/1.1 200 OK" in told, told


def keep_alive(address):
    _, told = curl(*[f"http://{address}/nowhere"] * 3)
    assert told.count("Re-using existing connection") == 2 and told.count("< HTTP/1.1 404") == 3, told


def head(address):
    told = curl("--head", f"http://{address}/", f"http://{address}/stream?every=1", f"http://{address}/nowhere")[1]
    assert told.count("Re-using existing connection") == 2 and told.count("< HTTP/1.1 200") == 2, told


def echo(address):
    assert curl("--data-binary", "hello", f"http://{address}/echo")[0] == b"hello"


def chunked_echo(address):
    body, told = curl("--upload-file", "-", "-XPOST", f"http://{address}/echo", stdin=b"x" * 300_000)
    assert body == b"x" * 300_000 and "> Transfer-Encoding: chunked" in told, told


def expectation(address):
    body, told = curl("-HExpect: 100-continue", "--data-binary", "hello", f"http://{address}/echo")
    assert body == b"hello" and "< HTTP/1.1 100 Continue" in told and "Done waiting" not in told, told


def stream(address):
    assert curl("--no-buffer", f"http://{address}/stream?every=20")[0].decode() == STREAM


def download_100_mb(address):
    assert len(curl(f"http://{address}/large?bytes={LARGE}")[0]) == LARGE


def with_file(*arguments):
    with tempfile.NamedTemporaryFile() as file:
        os.truncate(file.fileno(), LARGE)
        return curl("-XPOST", "--upload-file", file.name, *arguments)


def upload_100_mb(address):
    body, told = with_file(f"http://{address}/count")
    assert body == f"{LARGE}\n".encode() and "Done waiting" not in told, told


def echo_of_100_mb(address):
    body, _ = with_file(f"http://{address}/echo")
    assert len(body) == LARGE, len(body)


def early_response(address):
    body, told = with_file("-HExpect:", f"http://{address}/early")
    assert body == b"I have read none of it.\n", told


def leaves(address):
    process = subprocess.Popen(["curl", "--silent", f"http://{address}/wait"])
    told_to_leave()
    process.kill()
    process.wait()


main(globals(), {"websocket": "Debian's curl is built without it"})
