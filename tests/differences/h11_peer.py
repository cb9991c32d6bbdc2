"""Reads streams from standard input, each behind its length, and writes what h11 as a server takes each for, a line each.

`r method target body` for a request that came whole, `p` for one that did not, then `refused why`, `open` or `closed`;
parted by tabs, bytes in hexadecimal.
"""

import re
import struct
import sys

import h11


def verdict(stream: bytes) -> str:
    conn = h11.Connection(h11.SERVER)
    found = []
    try:
        conn.receive_data(stream)
        while True:
            event = conn.next_event()
            if event is h11.NEED_DATA:
                if conn.they_are_waiting_for_100_continue:
                    conn.send(h11.InformationalResponse(status_code=100, headers=[]))
                    continue
                return "\t".join([*found, "open"])
            if isinstance(event, h11.Request):
                request, body = event, b""
                found.append("p")
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                found[-1] = f"r {request.method.hex()} {request.target.hex()} {body.hex()}"
                conn.send(h11.Response(status_code=200, headers=[(b"content-length", b"0")]))
                conn.send(h11.EndOfMessage())
                if conn.our_state is not h11.DONE or conn.their_state is not h11.DONE:
                    return "\t".join([*found, "closed"])
                conn.start_next_cycle()
            else:
                return "\t".join([*found, "closed"])
    except h11.RemoteProtocolError as error:
        # Without what it quotes of the input.
        why = re.sub(r"b?['\"].*", "", str(error)).strip(" :.,(")
        return "\t".join([*found, f"refused {why}"])


def main() -> None:
    source = sys.stdin.buffer
    while length := source.read(4):
        (size,) = struct.unpack("<I", length)
        print(verdict(source.read(size)))


if __name__ == "__main__":
    main()
