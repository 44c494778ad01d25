"""Asks a server 20 times a second whether it is well: `python polling.py URL`.

A process of its own, since who floods a server has no time to look at a clock.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from urllib.parse import urlsplit

EVERY_S = 0.05


def main(url: str) -> None:
    """Poll until the input ends, then print the statuses and seconds of all answers."""
    place = urlsplit(url)
    over = threading.Event()
    seen: list[tuple[int, float]] = []

    def poll() -> None:
        while True:
            begun = time.monotonic()
            connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
            try:
                connection.request("GET", "/healthz")
                status = connection.getresponse().status
            except OSError:
                status = 0
            finally:
                connection.close()
            seen.append((status, time.monotonic() - begun))
            if over.wait(EVERY_S):
                return

    polling = threading.Thread(target=poll)
    polling.start()
    print("ready", flush=True)
    sys.stdin.read()
    over.set()
    polling.join()
    print(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1])
