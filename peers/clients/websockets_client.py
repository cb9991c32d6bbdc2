"""The WebSocket client of `websockets`."""

from case import main
from websockets.sync.client import connect


def websocket(address):
    with connect(f"ws://{address}/websocket", max_size=None) as socket:
        for message in ["hello", "ö" * 100_000, b"\x07" * 1_000_000, ["in ", "three ", "parts"]]:
            socket.send(message)
            assert socket.recv() == ("".join(message) if isinstance(message, list) else message)
        socket.ping().wait(60)


main(globals(), {})
