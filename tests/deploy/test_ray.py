"""A Ray cluster of two nodes on this machine: replicas are placed, drained and replaced, others keep their frames."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("ray.serve", reason="needs pip install 'liveswap[ray]', in an environment of its own")

import aiohttp
import ray
from ray import serve
from ray.cluster_utils import Cluster

from bench.glass_camera import Film
from bench.glass_peers import unassisted
from bench.sessions_visitors import Visitor, encoded
from deploy.ray.app import ClusterSettings, build, taken
from deploy.ray.calls import replica_in
from deploy.ray.register import NAME, Place
from realtime.__main__ import DEMO
from realtime.errors import SettingsError
from realtime.settings import Settings
from realtime.webrtc.media import MediaSettings
from tests.models import write_shelf
from tests.test_architecture import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]  # Ray's own warnings
TOKEN: Final = "some-long-secret"
HEADERS: Final = {"Authorization": f"Bearer {TOKEN}"}
ADDRESS: Final = "http://127.0.0.1:8123"
PATIENCE_S: Final = 180.0  # for Ray to start and end processes, on a busy machine
WATCHED_S: Final = 5.0
FPS: Final = 8  # so few that a session has them also while Ray starts processes on the same cores
KEPT: Final = 0.5  # of its rate before, that a session on another replica has at least
ENVIRONMENT: Final = (
    ("PYTHONPATH", str(ROOT)),
    ("PYTHONWARNINGS", "ignore"),
    ("RAY_USAGE_STATS_ENABLED", "0"),
    ("RAY_health_check_failure_threshold", "100"),  # a node that is slow to answer is not gone
    ("RAY_worker_niceness", "0"),  # or whatever else the machine does takes the frames away
)
NODE: Final = {"num_cpus": 1, "object_store_memory": 100 << 20}


@dataclass(frozen=True, slots=True)
class Served:
    """The application on a cluster."""

    cluster: Any
    second: Any  # the node beside the head


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two nodes with room for one replica each, and the application on them."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT:
            patch.setenv(name, value)
        models = write_shelf(tmp_path_factory.mktemp("ray") / "models")
        cluster = with_head()
        try:
            second = cluster.add_node(**NODE)
            ray.init(cluster.address, namespace="liveswap", log_to_driver=False, logging_level="ERROR")
            serve.start(http_options={"host": "127.0.0.1", "port": 8123, "location": "HeadOnly"})
            wanted = {"token": TOKEN, "sessions": 2, "least": 2, "most": 2, "room_s": 20.0, "drain_s": PATIENCE_S}
            small = {"cores": 1, "threads": 1, "fps": FPS, "session_log": False}
            serve.run(build({**wanted, **small, "models": str(models)}), name="liveswap")
            yield Served(cluster, second)
        finally:
            serve.shutdown()
            ray.shutdown()
            cluster.shutdown()


def with_head(tries: int = 3) -> Any:
    """A cluster of one node. Ray gives a node half a minute to start, which on a busy machine may be too little."""
    cluster = Cluster()
    try:
        cluster.add_node(**NODE, include_dashboard=False)
    except Exception as error:
        cluster.shutdown()
        if tries == 1 or "timed out during startup" not in str(error):
            raise
        return with_head(tries - 1)
    return cluster


@pytest.fixture(scope="module")
def film() -> tuple[bytes, ...]:
    return encoded(Film.load(DEMO, 1.0, 160, 120))


class Visitors:
    """Sessions of the test, by their keys, and calls to the front."""

    def __init__(self, client: aiohttp.ClientSession, film: tuple[bytes, ...], leaving: AsyncExitStack) -> None:
        self._client = client
        self._film = film
        self._leaving = leaving

    async def come(self) -> tuple[str, Visitor]:
        """One more session that has seen a picture."""
        visitor = Visitor(self._film, unassisted())
        self._leaving.push_async_callback(visitor.leave)
        key = await visitor.enter(self._client, ADDRESS)
        self._leaving.push_async_callback(self.ask, "DELETE", f"/offer/{key}")
        async with asyncio.timeout(PATIENCE_S):
            await visitor.came.wait()
        assert not visitor.fault
        visitor.counts = True
        return key, visitor

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, str]:
        """The status and the text of an answer."""
        async with self._client.request(method, f"{ADDRESS}{path}", **more) as answer:
            return answer.status, await answer.text()

    async def gone(self, key: str) -> None:
        """Ends a session."""
        assert (await self.ask("DELETE", f"/offer/{key}"))[0] == 200


@asynccontextmanager
async def visiting(film: tuple[bytes, ...]) -> AsyncIterator[Visitors]:
    async with AsyncExitStack() as leaving:
        client = await leaving.enter_async_context(aiohttp.ClientSession(headers=HEADERS))
        yield Visitors(client, film, leaving)


async def rate(visitor: Visitor) -> float:
    """Frames a second that come back from now on."""
    before = len(visitor.seen.arrivals)
    await asyncio.sleep(WATCHED_S)
    return (len(visitor.seen.arrivals) - before) / WATCHED_S


async def one_more(visitor: Visitor) -> None:
    """Waits for another frame."""
    before = len(visitor.seen.arrivals)
    async with asyncio.timeout(PATIENCE_S):
        while len(visitor.seen.arrivals) == before:
            await asyncio.sleep(0.1)


def places() -> dict[str, Place]:
    found: dict[str, Place] = ray.get(ray.get_actor(NAME).places.remote())
    return found


def states() -> dict[str, int]:
    """How many replicas are in each state, as Serve has it."""
    return dict(serve.status().applications["liveswap"].deployments["replicas"].replica_states)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await asyncio.to_thread(true):
            await asyncio.sleep(0.5)


async def two_apart(visitors: Visitors) -> tuple[tuple[str, Visitor], tuple[str, Visitor]]:
    """Two sessions on different replicas."""
    await until(lambda: len(places()) == 2)
    one, other = await visitors.come(), await visitors.come()
    if replica_in(one[0]) == replica_in(other[0]):  # Serve compares two at random, by what it knew a moment ago
        spare, other = other, await visitors.come()  # a replica has room for two
        await visitors.gone(spare[0])
    assert replica_in(one[0]) != replica_in(other[0])
    return one, other


async def test_offers_are_placed_on_both_nodes_and_calls_find_their_session(
    served: Served, film: tuple[bytes, ...]
) -> None:
    async with visiting(film) as visitors:
        one, other = await two_apart(visitors)
        known = places()
        assert known[replica_in(one[0])].node != known[replica_in(other[0])].node
        full = [await visitors.come(), await visitors.come()]
        for _, visitor in (one, other, *full):
            await one_more(visitor)
        offer = {"type": "offer", "sdp": "v=0"}
        status, text = await visitors.ask("POST", "/offer", json=offer)
        assert (status, "no process had room within 20 s" in text) == (503, True)
        for key, _ in full:
            await visitors.gone(key)
            assert (await visitors.ask("DELETE", f"/offer/{key}"))[0] == 404
        status, text = await visitors.ask("POST", "/offer", json=offer)  # there is room again, so a replica reads it
        assert (status in (400, 422), "no process" in text) == (True, False)
        assert (await visitors.ask("GET", "/healthz"))[0] == 200
        assert "aster" in (await visitors.ask("GET", "/api/identities"))[1]
        assert (await visitors.ask("POST", "/whip?name=obs", data="v=0"))[0] == 400
        assert (await visitors.ask("PATCH", f"/whip/{one[0]}", data=b""))[0] == 415  # its replica knows the key
        assert (await visitors.ask("PATCH", "/whip/elsewhere.key", data=b""))[0] == 404
        assert (await visitors.ask("GET", "/api/identities", headers={"Authorization": "Bearer wrong"}))[0] == 401
        assert (await visitors.ask("POST", "/offer", data=b"x" * 300_000))[0] == 413


async def test_a_replica_is_for_the_front_alone(served: Served) -> None:
    place = next(iter(places().values()))
    async with aiohttp.ClientSession(headers=HEADERS) as client, client.get(f"{place.address}/healthz") as answer:
        assert answer.status == 403


async def test_a_node_drains_and_is_replaced_while_another_keeps_its_frames(
    served: Served, film: tuple[bytes, ...]
) -> None:
    async with visiting(film) as visitors:
        pairs = await two_apart(visitors)
        second = served.second.node_id
        stays, goes = sorted(pairs, key=lambda pair: places()[replica_in(pair[0])].node == second)
        assert places()[replica_in(goes[0])].node == second
        before = await rate(stays[1])
        began, frames = time.perf_counter(), len(stays[1].seen.arrivals)
        await asyncio.to_thread(drain, served.cluster.address, second)
        served.cluster.add_node(wait=False, **NODE)
        await until(lambda: len({place.node for place in places().values()} - {second}) == 2)
        await until(lambda: states().get("STOPPING", 0) == 1 and states().get("RUNNING", 0) == 2)
        newcomer = await visitors.come()
        assert places()[replica_in(newcomer[0])].node != second, "nobody new comes to a node that drains"
        await one_more(goes[1])  # a session lasts on a node that drains
        await visitors.gone(goes[0])  # its replica is still found
        await until(lambda: replica_in(goes[0]) not in places())
        meanwhile = (len(stays[1].seen.arrivals) - frames) / (time.perf_counter() - began)
        print(f"before {before:.1f} fps, meanwhile {meanwhile:.1f}")
        assert not stays[1].fault
        assert meanwhile >= KEPT * before


async def test_a_replica_that_dies_is_replaced_while_another_keeps_its_frames(
    served: Served, film: tuple[bytes, ...]
) -> None:
    async with visiting(film) as visitors:
        stays, dies = await two_apart(visitors)
        before = await rate(stays[1])
        began, frames = time.perf_counter(), len(stays[1].seen.arrivals)
        name = f"SERVE_REPLICA::liveswap#replicas#{replica_in(dies[0])}"
        ray.kill(ray.get_actor(name, namespace="serve"))
        known = {replica_in(key) for key, _ in (stays, dies)}
        await until(lambda: len(places().keys() - known) == 1)
        newcomers = [await visitors.come(), await visitors.come()]  # with one of them, the old replica would be full
        assert {replica_in(key) for key, _ in newcomers} - known, "the new replica is given sessions"
        await until(lambda: replica_in(dies[0]) not in places())
        assert (await visitors.ask("DELETE", f"/offer/{dies[0]}"))[0] == 404
        meanwhile = (len(stays[1].seen.arrivals) - frames) / (time.perf_counter() - began)
        print(f"before {before:.1f} fps, meanwhile {meanwhile:.1f}")
        assert not stays[1].fault
        assert meanwhile >= KEPT * before


def drain(address: str, node: str) -> None:
    """Tells the cluster that a node will be taken away."""
    program = Path(sys.executable).with_name("ray")
    words = ["drain-node", "--address", address, "--node-id", node, "--reason", "DRAIN_NODE_REASON_PREEMPTION"]
    why = ["--reason-message", "test", "--deadline-remaining-seconds", str(round(10 * PATIENCE_S))]
    subprocess.run([str(program), *words, *why], check=True, capture_output=True, timeout=PATIENCE_S)


def test_texts_of_a_command_line_become_values() -> None:
    said = {"sessions": "8", "cores": "0.5", "session_log": "false", "ice_servers": "stun:a:1,stun:b:2", "token": TOKEN}
    assert taken(ClusterSettings, said) == {"token": TOKEN, "sessions": 8, "cores": 0.5}
    assert taken(MediaSettings, said) == {"ice_servers": ("stun:a:1", "stun:b:2")}
    assert taken(Settings, said) == {"session_log": False, "cores": "0.5"}


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({}, "there is no token"),
        ({"token": TOKEN, "flavour": "red"}, "flavour is no setting"),
        ({"token": TOKEN, "sessions": 0}, "sessions is 0"),
        ({"token": TOKEN, "most": "many"}, "most is 'many'"),
        ({"token": TOKEN, "width": 3}, "width is 3"),
        ({"token": TOKEN, "session_log": "perhaps"}, "session_log is 'perhaps', wanted true or false"),
    ],
)
def test_settings_that_are_none_are_refused(wanted: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        build(wanted)
