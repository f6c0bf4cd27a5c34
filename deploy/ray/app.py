"""The application for Ray Serve: `serve run deploy.ray.app:build token=some-long-secret`."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import ray
from ray import serve

from deploy.ray.front import Front
from deploy.ray.register import NAME, Register
from deploy.ray.replica import Replica
from realtime.cores import ALL
from realtime.errors import SettingsError
from realtime.settings import Settings, load
from realtime.webrtc.media import MediaSettings
from realtime.webrtc.serving import ServeSettings

BUSY: Final = 0.7  # of its sessions, from which on another replica is started
TRUTHS: Final[Mapping[str, bool]] = {"true": True, "false": False}
CALM_S: Final = 600.0  # of few sessions before a replica is taken away


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What a cluster is asked to do. Absurd values raise SettingsError."""

    token: str = ""  # what clients have to know
    sessions: int = 4  # of each replica
    cores: float = 1.0  # of each replica
    gpus: float = 0.0
    least: int = 1  # replicas
    most: int = 1
    drain_s: float = 3600.0  # that a replica which is to go waits for its sessions
    room_s: float = 20.0  # that an offer waits for room, or for a replica that is being started
    origins: str = ""  # pages elsewhere that may call, with commas between

    def __post_init__(self) -> None:
        if not self.token:
            raise SettingsError("there is no token, wanted token=SECRET: others can reach a cluster")
        for name, least in (("sessions", 1), ("cores", 0), ("gpus", 0), ("least", 1), ("most", self.least)):
            if getattr(self, name) < least:
                raise SettingsError(f"{name} is {getattr(self, name):g}, wanted {least:g} or more")

    @property
    def serving(self) -> ServeSettings:
        """As a replica's server has it. Raises SettingsError."""
        origins = tuple(filter(None, self.origins.split(",")))
        limits = {"behind_proxy": True, "max_sessions": self.sessions, "offers_per_minute": 600}
        return ServeSettings(host="0.0.0.0", token=self.token, origins=origins, **limits)  # type: ignore[arg-type]


def build(wanted: dict[str, Any]) -> Any:
    """The application with these settings: ClusterSettings, and those of `liveswap serve`. Raises SettingsError."""
    asked = ClusterSettings(**taken(ClusterSettings, wanted))
    media = MediaSettings(**taken(MediaSettings, wanted))
    ours = {name: value for name, value in wanted.items() if name not in {one.name for one in fields(ClusterSettings)}}
    settings = load(None, {**taken(Settings, ours), "cores": ALL})  # of several replicas on a machine, none knows
    kinds = (ClusterSettings, MediaSettings, Settings)
    if strange := sorted(set(wanted) - {one.name for kind in kinds for one in fields(kind)}):
        raise SettingsError(f"{strange[0]} is no setting of a cluster, wanted one that docs/deploy.md names")
    register = ray.remote(Register).options(
        name=NAME, get_if_exists=True, lifetime="detached", max_restarts=-1, num_cpus=0
    )
    ray.get(register.remote().places.remote())  # it is there before anybody asks for it
    replicas = serve.deployment(
        name="replicas",
        max_ongoing_requests=asked.sessions,
        autoscaling_config={
            "min_replicas": asked.least,
            "max_replicas": asked.most,
            "target_ongoing_requests": BUSY * asked.sessions,
            "downscale_delay_s": CALM_S,
        },
        graceful_shutdown_timeout_s=asked.drain_s,
        ray_actor_options={"num_cpus": asked.cores, "num_gpus": asked.gpus},
    )(Replica)
    front = serve.deployment(name="front", max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0})(Front)
    return front.bind(replicas.bind(settings, media, asked.serving), asked.room_s)


def taken(kind: type[Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The values of a kind of settings; texts, as a command line has them, as the type of the usual value.

    Raises SettingsError.
    """
    found: dict[str, Any] = {}
    for one in fields(kind):
        if one.name not in wanted:
            continue
        value, usual = wanted[one.name], one.default
        try:
            if isinstance(usual, tuple) and isinstance(value, str):
                value = tuple(value.split(","))
            elif isinstance(value, str) and isinstance(usual, bool):
                value = TRUTHS[value.lower()]
            elif isinstance(value, str) and isinstance(usual, int | float):
                value = int(value) if isinstance(usual, int) else float(value)
        except (KeyError, ValueError):
            wanted_kind = "true or false" if isinstance(usual, bool) else "a number"
            raise SettingsError(f"{one.name} is {value!r}, wanted {wanted_kind}") from None
        found[one.name] = value
    return found
