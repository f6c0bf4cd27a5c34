"""What Prometheus reads of a server with workers: the figures of each, told apart by a label, and its own."""

import asyncio
from collections.abc import Iterator
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from realtime.webrtc.metrics import answers_counter, counted, process_figures
from realtime.webrtc.whereabouts import Whereabouts
from realtime.webrtc.workers import WorkerGone, Workers

PATIENCE_S: Final = 2.0  # for a worker's figures
OF_SERVER: Final = ("liveswap_sessions_most", "liveswap_http_answers")  # which workers cannot know


class MetricsOfAll:
    """The figures of one server and of its workers."""

    def __init__(self, workers: Workers, where: Whereabouts, most: int) -> None:
        """most is how many sessions there may be."""
        self._workers = workers
        self._where = where
        self._most = most
        self._registry = CollectorRegistry()
        self._answers = answers_counter(self._registry)

    def count(self, method: str, address: str, status: int) -> None:
        """Notes an answer; address is the pattern of the address, so that there are few."""
        counted(self._answers, method, address, status)

    async def text(self, _: web.Request) -> web.Response:
        """The answer to GET /metrics. A worker that does not answer in time is left out, which worker_up says."""
        numbers = list(self._workers.numbers)
        said = dict(zip(numbers, await asyncio.gather(*map(self._said, numbers)), strict=True))
        registry = CollectorRegistry()
        registry.register(Fixed([*self._own(said), *labelled({k: v for k, v in said.items() if v is not None})]))
        body = generate_latest(self._registry) + generate_latest(registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _said(self, number: int) -> str | None:
        try:
            answer = await self._workers[number].ask("GET", "/metrics", seconds=PATIENCE_S)
        except WorkerGone:
            return None
        return answer.body.decode()

    def _own(self, said: dict[int, str | None]) -> Iterator[Metric]:
        yield GaugeMetricFamily("liveswap_sessions_most", "Sessions that there may be.", self._most)
        up = GaugeMetricFamily("liveswap_worker_up", "Whether a worker answers.", labels=["worker"])
        restarts = CounterMetricFamily("liveswap_worker_restarts", "Times that a worker died.", labels=["worker"])
        for number, text in said.items():
            up.add_metric([str(number)], float(text is not None))
            restarts.add_metric([str(number)], self._workers.restarts[number])
        yield up
        yield restarts


class Fixed(Collector):
    """Figures that have been gathered already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """All of them; called by the registry."""
        return iter(self._families)


def labelled(said: dict[int, str]) -> list[Metric]:
    """The families of all workers' texts, one for each name, whose samples say which worker they are of.

    A worker counts requests that were passed on to it; those are in the server's own count already.
    """
    families: dict[str, Metric] = {}
    own = CollectorRegistry()
    process_figures(own)
    texts = {**{str(number): text for number, text in said.items()}, "front": generate_latest(own).decode()}
    for worker, text in texts.items():
        for family in text_string_to_metric_families(text):
            if family.name in OF_SERVER:
                continue
            kept = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            kept.samples += [
                Sample(one.name, {"worker": worker, **one.labels}, one.value, one.timestamp, one.exemplar)
                for one in family.samples
            ]
    return list(families.values())
