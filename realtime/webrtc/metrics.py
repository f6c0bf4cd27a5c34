"""What Prometheus reads: how many sessions there are and how well they do."""

from collections.abc import Iterator
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from realtime.webrtc.lobby import Lobby, Numbers

TOTALS: Final = (
    ("frames_in", "Frames that came in."),
    ("frames_out", "Frames that went out."),
    ("dropped", "Frames left out because newer ones had come."),
)
# (name, key of a session's numbers, how much of a unit that is, which of the sessions, help)
WORST: Final = (
    ("slowest_fps", "fps", 1.0, min, "Frames a second of the slowest session."),
    ("worst_age_seconds", "age_p95_ms", 0.001, max, "Age of 95 of 100 frames as they leave, in the worst session."),
    ("bitrate_kbps", "bitrate_kbps", 1.0, sum, "Video bitrate that all sessions are allowed."),
    ("viewers", "viewers", 1.0, sum, "Viewers of all sessions."),
)


class Metrics(Collector):
    """The figures of one server, in a registry of their own."""

    def __init__(self, lobby: Lobby, most: int) -> None:
        """most is how many sessions there may be."""
        self._lobby = lobby
        self._most = most
        self._registry = CollectorRegistry()
        self._answers = answers_counter(self._registry)
        self._registry.register(self)
        process_figures(self._registry)

    def count(self, method: str, address: str, status: int) -> None:
        """Notes an answer; address is the pattern of the address, so that there are few."""
        counted(self._answers, method, address, status)

    def collect(self) -> Iterator[Metric]:
        """What is true now; called by the registry."""
        yield GaugeMetricFamily("liveswap_sessions", "Sessions under way.", len(self._lobby))
        yield GaugeMetricFamily("liveswap_sessions_most", "Sessions that there may be.", self._most)
        totals = self._lobby.totals
        for key, text in TOTALS:
            yield CounterMetricFamily(f"liveswap_{key}", text, totals[key])
        sessions = self._lobby.numbers
        for name, key, unit, pick, text in WORST:
            values = [value * unit for value in known_values(sessions, key)]
            if values or pick is sum:
                yield GaugeMetricFamily(f"liveswap_{name}", text, pick(values))

    async def text(self, _: web.Request) -> web.Response:
        """The answer to GET /metrics."""
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def answers_counter(registry: CollectorRegistry) -> Counter:
    """A counter of answers, in that registry."""
    labels = ("method", "address", "status")
    return Counter("liveswap_http_answers", "HTTP requests that were answered.", labels, registry=registry)


def counted(answers: Counter, method: str, address: str, status: int) -> None:
    """Notes an answer; a method that nobody knows is one of the others."""
    known = method if method in ("GET", "HEAD", "OPTIONS", "POST", "PATCH", "DELETE") else "other"
    answers.labels(known, address, str(status)).inc()


def process_figures(registry: CollectorRegistry) -> None:
    """Adds what this process takes of the machine."""
    ProcessCollector(registry=registry)


def known_values(sessions: list[Numbers], key: str) -> list[float]:
    """The numbers of that key, of the sessions that have one."""
    values = (numbers.get(key) for numbers in sessions)
    return [float(value) for value in values if isinstance(value, int | float)]
