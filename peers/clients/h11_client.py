"""h11 on a blocking socket."""

import base64
import socket
import threading

import h11
from case import LARGE, PART, STREAM, main, told_to_leave


class Client:
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        self.conn = h11.Connection(h11.CLIENT)

    def send(self, event):
        self.socket.sendall(self.conn.send(event))

    def request(self, method, target, *headers):
        self.send(h11.Request(method=method, target=target, headers=[("Host", "a"), *headers]))

    def event(self):
        while (event := self.conn.next_event()) is h11.NEED_DATA:
            self.conn.receive_data(self.socket.recv(65536))
        return event

    def response(self):
        """The head, and the body in parts."""
        head = self.event()
        assert isinstance(head, h11.Response), head
        return head, self.body()

    def body(self):
        while isinstance(event := self.event(), h11.Data):
            yield bytes(event.data)
        assert isinstance(event, h11.EndOfMessage), event

    def exchange(self, method, target, body=b"", *headers):
        length = [("Content-Length", str(len(body)))] if body else []
        self.request(method, target, *length, *headers)
        if body:
            self.send(h11.Data(data=body))
        self.send(h11.EndOfMessage())
        head, parts = self.response()
        return head, b"".join(parts)

    def writes(self, parts):
        """While the caller reads: what is written is counted by h11, but from another thread only bytes may go out."""
        chunks = [self.conn.send(h11.Data(data=part)) for part in parts]
        chunks.append(self.conn.send(h11.EndOfMessage()))
        thread = threading.Thread(target=lambda: [self.socket.sendall(chunk) for chunk in chunks])
        thread.start()
        return thread


def get(address):
    head, body = Client(address).exchange("GET", "/")
    names = [bytes(name) for name, _ in head.headers]
    assert head.status_code == 200 and b"<h1>It works</h1>" in body and names.count(b"date") == 1, head


def keep_alive(address):
    client = Client(address)
    for _ in range(3):
        assert client.exchange("GET", "/nowhere")[1] == b"There is nothing here.\n"
        client.conn.start_next_cycle()


def head(address):
    client = Client(address)
    for target in ["/", "/stream?every=1", "/nowhere"]:
        assert client.exchange("HEAD", target)[1] == b""
        client.conn.start_next_cycle()


def echo(address):
    assert Client(address).exchange("POST", "/echo", b"hello")[1] == b"hello"


def chunked_echo(address):
    client = Client(address)
    client.request("POST", "/echo", ("Transfer-Encoding", "chunked"))
    for part in [b"one", b"two", b"three"]:
        client.send(h11.Data(data=part))
    client.send(h11.EndOfMessage(headers=[("x-trailer", "1")]))
    assert b"".join(client.response()[1]) == b"onetwothree"


def expectation(address):
    client = Client(address)
    client.request("POST", "/echo", ("Content-Length", "5"), ("Expect", "100-continue"))
    informational = client.event()
    assert isinstance(informational, h11.InformationalResponse) and informational.status_code == 100, informational
    client.send(h11.Data(data=b"hello"))
    client.send(h11.EndOfMessage())
    assert b"".join(client.response()[1]) == b"hello"


def stream(address):
    assert Client(address).exchange("GET", "/stream?every=20")[1].decode() == STREAM


def download_100_mb(address):
    client = Client(address)
    client.request("GET", f"/large?bytes={LARGE}")
    client.send(h11.EndOfMessage())
    assert sum(map(len, client.response()[1])) == LARGE


def upload_100_mb(address):
    client = Client(address)
    client.request("POST", "/count", ("Content-Length", str(LARGE)))
    for _ in range(LARGE // len(PART)):
        client.send(h11.Data(data=PART))
    client.send(h11.EndOfMessage())
    assert b"".join(client.response()[1]) == f"{LARGE}\n".encode()


def echo_of_100_mb(address):
    client = Client(address)
    client.request("POST", "/echo", ("Content-Length", str(LARGE)))
    writer = client.writes([PART] * (LARGE // len(PART)))
    assert sum(map(len, client.response()[1])) == LARGE
    writer.join()


def early_response(address):
    client = Client(address)
    client.request("POST", "/early", ("Content-Length", str(LARGE)))
    writer = client.writes([PART] * (LARGE // len(PART)))
    assert b"".join(client.response()[1]) == b"I have read none of it.\n"
    writer.join()


def leaves(address):
    client = Client(address)
    client.request("GET", "/wait")
    client.send(h11.EndOfMessage())
    told_to_leave()
    client.socket.close()


def websocket(address):
    client = Client(address)
    key = base64.b64encode(b"the sample nonce")
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    client.request("GET", "/websocket", *upgrade, ("Sec-WebSocket-Key", key))
    client.send(h11.EndOfMessage())
    switch = client.event()
    assert isinstance(switch, h11.InformationalResponse) and switch.status_code == 101, switch
    assert client.event() is h11.PAUSED
    data, closed = client.conn.trailing_data
    client.socket.sendall(b"\x81\x85\x00\x00\x00\x00hello")  # a text frame, masked with zeros
    while len(data) < 7 and not closed:
        data += client.socket.recv(100)
    assert data == b"\x81\x05hello", data


main(globals(), {})
