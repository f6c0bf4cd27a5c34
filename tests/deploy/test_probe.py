"""The probe says whether a server is well, and waits until it has no sessions left."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from deploy import probe


class Health(BaseHTTPRequestHandler):
    """Answers as /healthz does: with the next of the server's answers, and with its last one from then on."""

    def do_GET(self) -> None:
        answers: list[bytes | None] = self.server.answers  # type: ignore[attr-defined]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        good = self.headers["Authorization"] == "Bearer some-secret" and answer is not None
        self.send_response(200 if good else 401)
        self.end_headers()
        self.wfile.write(answer or b"")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def healthy(monkeypatch: pytest.MonkeyPatch, *answers: bytes | None) -> Iterator[str]:
    """A server that answers so, whose address and token the environment names."""
    with HTTPServer(("127.0.0.1", 0), Health) as server:
        server.answers = list(answers)  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/healthz"
        monkeypatch.setenv("LIVESWAP_HEALTH", address)
        monkeypatch.setenv("LIVESWAP_TOKEN", "some-secret")
        yield address
        server.shutdown()
        thread.join()


def test_a_server_that_answers_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    with healthy(monkeypatch, b'{"status": "ok", "sessions": 3}'):
        assert probe.main(["ready"]) == 0
        monkeypatch.setenv("LIVESWAP_TOKEN", "wrong-secret")
        assert probe.main(["ready"]) == 1


@pytest.mark.parametrize("answer", [None, b"", b"{}", b"no json", b'{"sessions": "many"}'])
def test_one_that_is_not_well_is_not(monkeypatch: pytest.MonkeyPatch, answer: bytes | None) -> None:
    with healthy(monkeypatch, answer):
        assert probe.main(["ready"]) == 1


def test_one_that_is_gone_is_not_ready_and_has_no_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    with healthy(monkeypatch, b""):
        pass
    assert probe.main(["ready"]) == 1
    assert probe.main(["drained", "60"]) == 0


def test_draining_waits_for_the_last_session(monkeypatch: pytest.MonkeyPatch) -> None:
    left = [f'{{"sessions": {count}}}'.encode() for count in (2, 1, 1, 0)]
    with healthy(monkeypatch, *left):
        assert probe.drained(60.0, pause=0.01)
    with healthy(monkeypatch, left[0]):
        began = time.monotonic()
        assert not probe.drained(0.05, pause=0.01)
        assert time.monotonic() - began >= 0.05


@pytest.mark.parametrize("words", [[], ["well"], ["drained"], ["drained", "soon"]])
def test_what_is_unknown_is_said(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-S", probe.__file__, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "wanted: probe.py ready, or probe.py drained SECONDS" in done.stderr
