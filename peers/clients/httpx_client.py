"""httpx, the blocking client."""

import threading

import httpx
from case import LARGE, PART, STREAM, main, told_to_leave


def client(address):
    return httpx.Client(base_url=f"http://{address}", timeout=60)


def get(address):
    response = client(address).get("/")
    assert response.status_code == 200 and "<h1>It works</h1>" in response.text and "date" in response.headers
    assert response.http_version == "HTTP/1.1"


def keep_alive(address):
    session = client(address)
    ports = set()
    for _ in range(3):
        with session.stream("GET", "/nowhere") as response:
            assert response.status_code == 404
            ports.add(response.extensions["network_stream"].get_extra_info("client_addr"))
            response.read()
    assert len(ports) == 1, ports


def head(address):
    session = client(address)
    for target in ["/", "/stream?every=1", "/nowhere"]:
        assert session.head(target).content == b""


def echo(address):
    assert client(address).post("/echo", content=b"hello").content == b"hello"


def chunked_echo(address):
    response = client(address).post("/echo", content=iter([b"one", b"two", b"three"]))
    assert response.request.headers["transfer-encoding"] == "chunked" and response.content == b"onetwothree"


def stream(address):
    with client(address).stream("GET", "/stream?every=20") as response:
        assert "".join(response.iter_text()) == STREAM


def download_100_mb(address):
    with client(address).stream("GET", f"/large?bytes={LARGE}") as response:
        assert sum(map(len, response.iter_raw())) == LARGE


def upload(address, target):
    parts = (PART for _ in range(LARGE // len(PART)))
    return client(address).post(target, content=parts, headers={"content-length": str(LARGE)}).text


def upload_100_mb(address):
    assert upload(address, "/count") == f"{LARGE}\n"


def early_response(address):
    assert upload(address, "/early") == "I have read none of it.\n"


def leaves(address):
    def ask():
        with client(address) as session, session.stream("GET", "/wait", timeout=1):
            pass

    # It has no way to give up but its timeout.
    thread = threading.Thread(target=lambda: is_timeout(ask))
    thread.start()
    told_to_leave()
    thread.join()


def is_timeout(ask):
    try:
        ask()
    except httpx.ReadTimeout:
        return
    raise AssertionError("no timeout")


main(
    globals(),
    {
        "expectation": "httpx does not wait for a 100",
        "echo_of_100_mb": "it writes all before it reads, so that an echo of more than the buffers hold stops both",
        "websocket": "httpx does not speak it",
    },
)
