"""Asks a `liveswap serve` of this machine how it is, for containers: `ready`, or `drained SECONDS` before they end.

The standard library alone, so that it starts quickly; the token comes from the environment, where probes of Kubernetes
cannot take it from.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from typing import Final

URL: Final = "http://127.0.0.1:8080/healthz"  # LIVESWAP_HEALTH names another one
PATIENCE_S: Final = 3.0  # for an answer
PAUSE_S: Final = 2.0  # between two looks at whether sessions are left
USAGE: Final = "wanted: probe.py ready, or probe.py drained SECONDS"


def sessions() -> int | None:
    """How many sessions the server has; None where it is not there, or not well."""
    request = urllib.request.Request(os.environ.get("LIVESWAP_HEALTH", URL))
    if token := os.environ.get("LIVESWAP_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return int(json.load(answer)["sessions"])
    except (urllib.error.URLError, TimeoutError, ConnectionError, ValueError, KeyError):
        return None


def drained(seconds: float, pause: float = PAUSE_S) -> bool:
    """Waits until no session is left, or so many seconds; whether none is. A server that is gone has none."""
    until = time.monotonic() + seconds
    while sessions():
        if time.monotonic() >= until:
            return False
        time.sleep(min(pause, max(0.0, until - time.monotonic())))
    return True


def main(words: list[str]) -> int:
    """The exit code: 0 where it is so, 1 where it is not, 2 where nobody knows what was asked."""
    match words:
        case ["ready"]:
            return 0 if sessions() is not None else 1
        case ["drained", seconds] if seconds.isdecimal():
            return 0 if drained(float(seconds)) else 1
    print(f"probe.py: {' '.join(words) or 'nothing'} is unknown, {USAGE}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
