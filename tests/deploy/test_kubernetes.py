"""The Kubernetes manifest can be read and fits the server: its flags, its addresses and its figures."""

import re
from typing import Any

import pytest
import yaml
from aiohttp import web

from deploy import probe
from realtime.__main__ import app
from realtime.settings import Settings
from realtime.webrtc.front import application
from realtime.webrtc.media import LONGEST_S, MediaSettings
from realtime.webrtc.serving import ServeSettings
from realtime.webrtc.whereabouts import Whereabouts
from realtime.webrtc.workers import Workers
from tests.deploy.flags import flags_of
from tests.test_architecture import ROOT

MANIFEST = ROOT / "deploy" / "kubernetes.yaml"
DOCUMENTS: dict[str, Any] = {one["kind"]: one for one in yaml.safe_load_all(MANIFEST.read_text("utf-8"))}
POD: dict[str, Any] = DOCUMENTS["Deployment"]["spec"]["template"]["spec"]
CONTAINER: dict[str, Any] = POD["containers"][0]
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
DOCS = (ROOT / "docs" / "deploy.md").read_text("utf-8")


def flag(name: str) -> str:
    words: list[str] = CONTAINER["args"]
    return next(word.partition("=")[2] for word in words if word.startswith(f"{name}="))


def test_everything_selects_the_same_pods() -> None:
    label = DOCUMENTS["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert DOCUMENTS["Deployment"]["spec"]["selector"]["matchLabels"] == label
    assert DOCUMENTS["Service"]["spec"]["selector"] == label
    assert DOCUMENTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == label
    target = DOCUMENTS["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", DOCUMENTS["Deployment"]["metadata"]["name"])


def test_the_server_takes_its_flags() -> None:
    assert {word.partition("=")[0] for word in CONTAINER["args"]} <= flags_of(app, "serve")
    ServeSettings(
        host="0.0.0.0",
        token="some-long-secret",
        workers=int(flag("--workers")),
        max_sessions=int(flag("--max-sessions")),
        origins=(flag("--origin"),),
    )
    MediaSettings(ice_servers=(flag("--ice-server"),))
    assert CONTAINER["env"][0]["name"] == "LIVESWAP_TOKEN"


@pytest.mark.parametrize("name", PROBES)
def test_probes_run_a_file_of_the_image_and_ask_what_the_server_answers(name: str) -> None:
    command = CONTAINER[name]["exec"]["command"]
    image = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
    assert f"COPY deploy/probe.py {command[2]}" in image
    assert command[3:] == ["ready"]
    assert CONTAINER[name]["timeoutSeconds"] > probe.PATIENCE_S
    port = CONTAINER["ports"][0]["containerPort"]
    address = probe.URL.partition(f"http://127.0.0.1:{port}")[2]
    assert ("GET", address) in {(route.method, route.resource.canonical) for route in routes() if route.resource}
    assert f"EXPOSE {port}" in image


def routes() -> list[web.AbstractRoute]:
    where, serving = Whereabouts(4), ServeSettings(workers=2)
    settings, media = Settings(), MediaSettings()
    return list(application(Workers(settings, media, serving, where), where, media, serving).router.routes())


def test_a_pod_that_goes_has_time_for_its_sessions() -> None:
    command = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    assert command[3] == "drained"
    assert int(command[4]) < POD["terminationGracePeriodSeconds"]
    affinity = DOCUMENTS["Service"]["spec"]["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"]
    assert MediaSettings().longest_s <= affinity <= LONGEST_S


def test_scaling_looks_at_a_figure_that_the_server_has() -> None:
    """Metrics of one process: those of several have the same names."""
    from realtime.webrtc.metrics import Metrics

    class Empty:
        """A lobby that nobody has entered."""

        numbers: tuple[()] = ()
        totals = dict.fromkeys(("frames_in", "frames_out", "dropped"), 0.0)

        def __len__(self) -> int:
            return 0

    families = {one.name for one in Metrics(Empty(), 4).collect()}  # type: ignore[arg-type]
    pods = DOCUMENTS["HorizontalPodAutoscaler"]["spec"]["metrics"][0]["pods"]
    assert pods["metric"]["name"] in families
    assert int(pods["target"]["averageValue"]) < int(flag("--max-sessions"))
    (rules,) = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
    (rule,) = yaml.safe_load(rules)["rules"]
    assert rule["name"]["as"] == pods["metric"]["name"]
    assert set(re.findall(r"liveswap_\w+", rules)) <= families
