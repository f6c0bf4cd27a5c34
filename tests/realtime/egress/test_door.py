"""What the settings say of labels, credentials and the log reaches every gate."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realtime.egress.certificate import NAME
from realtime.egress.credentials import RECORD
from realtime.egress.door import Door
from realtime.egress.label import LabelSettings
from realtime.egress.session_log import usual_place
from realtime.errors import SettingsError
from realtime.frame import Drawn, Frame
from realtime.places import config_folder
from realtime.settings import Settings
from realtime.sinks.null import Null
from realtime.sinks.picture import Picture
from tests.realtime.egress.test_credentials import seen_by_the_library


@dataclass(frozen=True)
class Card:
    name: str

    def as_dict(self) -> dict[str, Any]:
        secret = {"file": "/home/ann/models/aster.onnx", "training": {"data": "private"}}
        return {"name": self.name, "kind": "person", "licence": "CC0", "consent": {"who": "Ann"}, **secret}


@pytest.fixture
def new_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def door(settings: Settings | None = None) -> Door:
    return Door.of(settings or Settings(), lambda: [Card("aster")])


FRAME = Frame(np.zeros((360, 640, 3), np.uint8), 0, 0.0, drawn=(Drawn("aster", "ab" * 32, (200, 100, 300, 200)),))


@pytest.mark.usefixtures("new_user")
async def test_a_picture_says_what_the_card_says_and_no_path_of_this_computer(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    async with door().gate(Picture(path), [str(path)]) as gate:
        await gate.write(FRAME)
    said = seen_by_the_library(path)
    assertions = said["manifests"][said["active_manifest"]]["assertions"]
    (own,) = (one["data"] for one in assertions if one["label"] == RECORD)
    assert own["shown"][0]["card"] == {"name": "aster", "kind": "person", "licence": "CC0", "consent": {"who": "Ann"}}
    assert b"/home/ann" not in path.read_bytes()
    assert b"private" not in path.read_bytes()
    logged = [json.loads(line) for line in usual_place().read_text("utf-8").splitlines()]
    assert {line["session"] for line in logged} == {own["session"]}
    assert logged[0]["sinks"] == [str(path)]


@pytest.mark.usefixtures("new_user")
async def test_a_run_without_files_makes_no_key_and_a_setting_switches_the_log_off() -> None:
    async with door(Settings(session_log=False)).gate(Null(), ["null"]) as gate:
        await gate.write(FRAME)
    assert not (config_folder() / NAME).exists()
    assert not usual_place().exists()


def test_labels_are_as_the_settings_have_them() -> None:
    settings = Settings(label_language="fr", label_style="icon", label_size="large", label_corner="top-left")
    looks = LabelSettings("top-left", "icon", "fr", "large")
    assert door(settings).gate(Null(), ["null"]).label == looks
    other = replace(looks, corner="top-right")
    assert door(settings).gate(Null(), ["null"], other).label == other


def test_an_own_certificate_is_read_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"own\.pem cannot be read"):
        door(Settings(signing=str(tmp_path / "own.pem")))


@pytest.mark.usefixtures("new_user")
def test_a_file_without_room_for_credentials_is_said_before_the_first_frame(caplog: pytest.LogCaptureFixture) -> None:
    door().gate(Null(), ["out.BMP", "out.png", "null"])
    assert [record.message for record in caplog.records] == [
        "out.BMP has its label and its mark, and no content credentials: BMP files have no room for them, "
        "wanted .png, .jpg, .tif or .webp"
    ]


@pytest.mark.usefixtures("new_user")
async def test_where_no_key_can_be_kept_the_picture_is_written_and_a_warning_says_what_it_lacks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "config").write_text("no folder")
    async with door().gate(Picture(tmp_path / "out.png"), ["out.png"]) as gate:
        await gate.write(FRAME)
    assert (tmp_path / "out.png").exists()
    assert "files of this run get no content credentials" in caplog.text
