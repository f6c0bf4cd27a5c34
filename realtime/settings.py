"""What a run is asked to do: defaults, filled from a TOML file, overridden by flags."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, get_type_hints

from realtime import toml
from realtime.cores import AUTO, check_cores, threads_of_one
from realtime.egress.disclosure import told
from realtime.egress.label import CORNERS, LANGUAGES, SIZES, STYLES, LabelSettings
from realtime.errors import MOST_FAILURES, SettingsError
from realtime.face.track import TrackingSettings
from realtime.flow.fitter import check_fit
from realtime.sources.limits import check_asked
from realtime.sources.reopening import check_on_lost
from realtime.swap.casting import Casting
from realtime.swap.compose import ComposeSettings
from realtime.swap.consent import Consent
from realtime.swap.fallback import Fallback
from realtime.swap.identity import MODELS, place_of_size
from realtime.swap.session import SessionSettings

BYSTANDERS: Final = 4  # faces followed beyond those that are swapped, where they have to be blurred
MOST_FACES: Final = 64  # as many as the tracker takes
LONGEST: Final = 7 * 24 * 3600.0  # seconds of one run


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that `liveswap run` can be told; a key of the TOML file has the name of the flag.

    Building one that is absurd or contradictory raises SettingsError.
    """

    source: str = "0"  # a camera by number, path or name, rtsp:// or http://, screen:, a video, a picture, or a folder
    sink: tuple[str, ...] = ()  # virtualcam, null, or a file; empty: what fits the source
    identity: str = "aster"  # a name on the shelf or an .onnx file, for all or by place: left=aster,right=cedar
    models: str = ""  # the folder of models; empty: the embedded ones
    revoked: str = ""  # a list of revoked identities; empty: revoked.toml in the configuration folder, if there is one
    size: str = "live"  # of the networks: live, or small for slow machines
    live: bool = False  # play a file at its own speed and drop what is late, as a camera would
    duration: float | None = None  # seconds; None: to the end of the source
    width: int | None = None  # pixels asked of a camera; a file's pictures are fitted into that size
    height: int | None = None
    fps: float | None = None  # frames in a second asked of a camera, or the rate of pictures
    on_camera_lost: str = "card"  # until a lost camera is back: card, hold (the last picture), or stop (end)
    fit: str = "letterbox"  # of pictures into a size of another shape: letterbox (bars) or crop
    no_face: str = "pass"  # what is shown without a face: pass, hold, blank or blur
    unsure: str = "blur"  # what is shown where a real face may be, or a model failed: blur, hold, blank, pass or raise
    tail: float = 1.0  # seconds for which the place of a lost face is unsure
    others: str = "blur"  # what is shown of faces that no identity was chosen for: blur or pass
    faces: int | None = None  # at most so many are swapped, the largest first; None: 4, or as many as are named
    fade: float = 0.0  # seconds that a change of identity takes
    colour: bool = True  # give the face the scene's light and colours
    grain: bool = True  # give it the camera's noise and softness
    detector: str = "centerface"  # or insightface:PACK
    provider: str = "auto"  # where models run: auto, cpu, cuda, ...
    precision: str = "auto"  # auto (on the CPU: what measures faster), int8, or fp32 for the CPU's very numbers
    fused: bool = False  # draw whole frames with one model, for graphics cards
    cuda_graphs: bool = False  # have NVIDIA's cards record that model's runs and repeat them
    threads: int = field(default_factory=threads_of_one)  # of each model on the CPU: 1 on two cores, else 2
    cores: str = AUTO  # that work on frames: auto (the fast ones, beside one memory), all, or a list such as 0-3,8
    preview: bool = False  # a window beside the sinks
    report: str = ""  # a JSON file for the numbers of the run
    label: bool = True  # the visible one
    i_disclose: str = ""  # how the audience is told where there is no label
    label_language: str = LANGUAGES[0]
    label_style: str = STYLES[0]
    label_size: str = SIZES[0]
    label_corner: str = CORNERS[0]  # where it is while no face stays there
    signing: str = ""  # a PEM file that signs content credentials; empty: one made on first use
    session_log: bool = True  # note who was shown when, for the user alone

    def __post_init__(self) -> None:
        check_asked(self.width, self.height, self.fps)
        check_fit(self.fit)
        check_on_lost(self.on_camera_lost)
        check_cores(self.cores)
        _within("duration", self.duration, 0.01, LONGEST, "seconds")
        _within("faces", self.faces, 1, MOST_FACES, "faces")
        _within("fade", self.fade, 0, 10, "seconds")
        for name in ("source", "identity"):
            if not getattr(self, name).strip():
                raise SettingsError(f"{name} is empty")
        if self.fused and self.fade:
            raise SettingsError(
                f"fade is {self.fade:g} s, and fused models draw one identity: wanted no fade or no fused"
            )
        if self.cuda_graphs and not self.fused:
            raise SettingsError("cuda_graphs is meant for fused models, wanted --fused beside it")
        self._check_files()
        self._check_disclosure()
        # They check their own values.
        self.session, self.fallback, self.tracking, self.casting, self.folder, self.labelling  # noqa: B018

    @property
    def session(self) -> SessionSettings:
        """How models are run. Raises SettingsError."""
        return SessionSettings(provider=self.provider, threads=self.threads, precision=self.precision)

    @property
    def base(self) -> Path:
        """The folder of models: the landmark network, and the identities of every size."""
        return Path(self.models) if self.models else MODELS

    @property
    def folder(self) -> Path:
        """Where the encoder and the identities of the wanted size lie. Raises SettingsError."""
        return place_of_size(self.base, self.size)

    @property
    def tracking(self) -> TrackingSettings:
        """How faces are found and followed. Raises SettingsError."""
        swapped = self.casting.people if self.faces is None else self.faces
        followed = min(MOST_FACES, swapped + (BYSTANDERS if self.others != "pass" else 0))
        return TrackingSettings(detector=self.detector, landmarks=self.base / "landmarks.onnx", max_faces=followed)

    @property
    def consent(self) -> Consent:
        """What decides whether identities may be used. Raises SettingsError."""
        return Consent.load(Path(self.revoked) if self.revoked else None)

    @property
    def casting(self) -> Casting:
        """Who becomes whom. Raises SettingsError."""
        return Casting.parse(self.identity)

    @property
    def fallback(self) -> Fallback:
        """What is shown where there is no swapped face. Raises SettingsError."""
        return Fallback(no_face=self.no_face, unsure=self.unsure, others=self.others, tail=self.tail)

    @property
    def patience(self) -> int:
        """On how many frames in a row a stage may fail before that ends the run."""
        return 1 if self.unsure == "raise" else MOST_FAILURES

    @property
    def composing(self) -> ComposeSettings:
        """How a face is fitted into its frame."""
        return ComposeSettings(colour=self.colour, grain=self.grain)

    @property
    def labelling(self) -> LabelSettings:
        """How the visible label looks. Raises SettingsError."""
        return LabelSettings(self.label_corner, self.label_style, self.label_language, self.label_size)

    @property
    def disclosure(self) -> str:
        """How the audience is told; empty where the label does."""
        return told(self.i_disclose) if self.i_disclose else ""

    def _check_disclosure(self) -> None:
        """Raises SettingsError for no label without a disclosure, and for a disclosure beside a label."""
        if not self.label and not self.i_disclose:
            raise SettingsError(
                "without the label the audience has to be told in another way: "
                'wanted --i-disclose "how the audience is told" beside --no-label'
            )
        if self.label and self.i_disclose:
            raise SettingsError(
                "--i-disclose says how the audience is told without a label, and the label is on: "
                "wanted --no-label beside it, or neither"
            )
        self.disclosure  # noqa: B018  (it checks itself)

    def _check_files(self) -> None:
        """Raises SettingsError where one file would be written twice, or what the run reads would be overwritten."""
        written = [("sink", text) for text in self.sink] + ([("report", self.report)] if self.report else [])
        read = (("source", self.source), *(("identity", name) for name in self.casting.names))
        used = {Path(text).resolve(): role for role, text in read}
        for role, text in written:
            if other := used.get(Path(text).resolve()):
                where = "named twice" if other == role else f"the {other} as well"
                raise SettingsError(f"the {role} {text} is {where}: wanted a file of its own")
            used[Path(text).resolve()] = role


def load(config: Path | None, flags: Mapping[str, object]) -> Settings:
    """The defaults, overridden by the TOML file, overridden by each flag that is not None.

    Raises SettingsError, which names the file, the key and the nearest key there is.
    """
    values = {} if config is None else _from_file(config)
    values.update({name: value for name, value in flags.items() if value is not None})
    return replace(Settings(), **values)


def _from_file(config: Path) -> dict[str, Any]:
    table = toml.read(config, "the configuration")
    names = table.get("identity")
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        table["identity"] = ",".join(names)  # as the flag may be given several times
    return toml.fitted(table, get_type_hints(Settings), str(config))


def _within(name: str, value: float | None, least: float, most: float, unit: str) -> None:
    if value is not None and not (math.isfinite(value) and least <= value <= most):
        raise SettingsError(f"{name} is {value:g}, wanted {least:g} to {most:g} {unit}")
