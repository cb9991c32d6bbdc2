"""What the clients share. Each is a program: `CLIENT CASE HOST:PORT`. It ends with 0 if all was right, with 77 and the
reason on its last line if the client cannot do the case, else with what was wrong on standard error."""

import asyncio
import inspect
import sys

LARGE = 100_000_000
PART = b"." * 50_000
STREAM = "".join(f"piece {n}\n" for n in range(1, 6))


def told_to_leave():
    """The runner says when: once the application waits."""
    sys.stdin.readline()


def main(cases, cannot):
    """`cases` are functions by name, which take the address; `cannot` are reasons by name."""
    name, address = sys.argv[1:]
    if name in cannot:
        print(cannot[name])
        sys.exit(77)
    result = cases[name](address)
    if inspect.isawaitable(result):
        asyncio.run(result)
