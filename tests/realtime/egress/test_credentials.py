"""Finished files say what they are, signed; what was changed afterwards shows."""

import json
import logging
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import c2pa
import cv2
import numpy as np
import pytest

from realtime.egress import credentials as module
from realtime.egress.certificate import Certificate, made
from realtime.egress.credentials import COMPOSITE, RECORD, Credentials, has_one_body, read
from realtime.egress.gate import NOTICE, Gate
from realtime.egress.record import Record, Shown
from realtime.errors import SinkError, SourceError
from realtime.flow.pipeline import Sink
from realtime.frame import Drawn, Frame
from realtime.sinks.fan_out import FanOut
from realtime.sinks.picture import Picture, encoded
from realtime.sinks.video_file import Recording, RecordingSettings, Tape
from tests.realtime.clips import pictures_in
from tests.realtime.egress.test_certificate import KEYS, chain, pem
from tests.realtime.swap.helpers import scene

CERTIFICATE = Certificate.parse(made(), "a test")
ASTER = Shown("aster", "ab" * 32)
SAID = Record("12" * 16, datetime(2026, 11, 29, tzinfo=UTC), (ASTER,), 5)


def cards(name: str) -> Mapping[str, Any]:
    return {"name": name, "kind": "rendered"}


def frames(count: int = 12) -> list[Frame]:
    drawn = (Drawn("aster", "ab" * 32, (100, 100, 150, 150)),)
    moved = (np.ascontiguousarray(np.roll(scene(640, 360), 8 * index, 1)) for index in range(count))
    return [Frame(image, index, index / 30, index / 30, drawn) for index, image in enumerate(moved)]


async def through(sink: Sink, **how: Any) -> Gate:
    async with Gate(sink, seal=Credentials(CERTIFICATE, cards), **how) as gate:
        for frame in frames():
            await gate.write(frame)
    return gate


def seen_by_the_library(path: Path) -> dict[str, Any]:
    """What c2pa's own reader says of a file, with its default settings."""
    with c2pa.Reader(str(path)) as reader:
        said: dict[str, Any] = json.loads(reader.json())
    return said


async def test_a_recording_says_what_was_done_with_which_model(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    gate = await through(Recording(path))
    said = seen_by_the_library(path)
    assert said["validation_state"] == "Valid"
    manifest = said["manifests"][said["active_manifest"]]
    assert manifest["title"] == "out.mp4"
    assert manifest["claim_generator_info"][0]["name"] == "liveswap"
    assertions = {one["label"]: one["data"] for one in manifest["assertions"]}
    actions = assertions["c2pa.actions.v2"]["actions"]
    assert [action["action"] for action in actions] == ["c2pa.created", "c2pa.edited"]
    assert {action["digitalSourceType"] for action in actions} == {COMPOSITE}
    assert COMPOSITE.endswith("/compositeWithTrainedAlgorithmicMedia")
    own = assertions[RECORD]
    assert own["session"] == gate.session.hex()
    assert own["shown"] == [{"identity": "aster", "model": "ab" * 32, "card": cards("aster")}]
    assert (own["label"], own["disclosure"]) == (True, "")


async def test_credentials_leave_the_recording_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_bytes", bytes)  # both sessions have the same id, so the same invisible mark
    path, bare = tmp_path / "out.mp4", tmp_path / "bare.mp4"
    await through(Recording(path))
    async with Gate(Recording(bare)) as gate:
        for frame in frames():
            await gate.write(frame)
    signed, unsigned = pictures_in(path), pictures_in(bare)
    assert len(signed) == 12
    assert all(a[0] == b[0] and np.array_equal(a[1], b[1]) for a, b in zip(signed, unsigned, strict=True))
    with av.open(path) as container:
        assert container.metadata["comment"] == NOTICE
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bare.mp4", "out.mp4"]


async def test_a_disclosure_stands_in_the_manifest(tmp_path: Path) -> None:
    await through(Recording(tmp_path / "out.mp4"), disclosure="the host says so")
    seen = read(tmp_path / "out.mp4")
    assert seen is not None
    assert seen.disclosure == "the host says so"


@pytest.mark.parametrize("kind", ["jpg", "jpeg", "png", "webp", "tif"])
async def test_pictures_get_credentials(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"out.{kind}"
    gate = await through(Picture(path))
    assert seen_by_the_library(path)["validation_state"] == "Valid"
    seen = read(path)
    assert seen is not None
    assert (seen.faults, seen.composite, seen.session, seen.shown) == ((), True, gate.session.hex(), (ASTER,))
    assert cv2.imread(str(path)) is not None


async def test_every_one_of_numbered_pictures_and_every_sink_has_them(tmp_path: Path) -> None:
    await through(FanOut([Picture(tmp_path / "%d.png"), Recording(tmp_path / "out.mp4")], live=False))
    files = [*tmp_path.iterdir()]
    assert len(files) == 13
    assert all((seen := read(file)) is not None and not seen.faults for file in files)


async def test_a_kind_without_room_for_them_is_written_without(tmp_path: Path) -> None:
    await through(Picture(tmp_path / "%d.bmp"))
    assert cv2.imread(str(tmp_path / "3.bmp")) is not None
    assert read(tmp_path / "3.bmp") is None


def test_a_picture_in_memory_gets_them_and_one_that_is_none_does_not(tmp_path: Path) -> None:
    credentials, file = Credentials(CERTIFICATE, cards), tmp_path / "a.png"
    file.write_bytes(credentials.signed(encoded(file, frames(1)[0]), "a.png", SAID))
    seen = read(file)
    assert seen is not None
    assert (seen.faults, seen.session, seen.shown) == ((), SAID.session, SAID.shown)
    with pytest.raises(SinkError, match=r"^a\.png could not be signed: "):
        credentials.signed(b"no picture", "a.png", SAID)


@pytest.fixture
def cut_short(tmp_path: Path) -> Path:
    """A recording whose program was killed: fragments, and no end."""
    whole, cut = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    images = [np.random.default_rng(index).integers(0, 255, (180, 320, 3), np.uint8) for index in range(120)]
    written = [Frame(image, index, index / 30) for index, image in enumerate(images)]
    tape = Tape(whole, written[0], None, RecordingSettings(quality=30, preset="ultrafast"), {})
    for frame in written:
        tape.write(frame)
    shutil.copy(whole, cut)
    tape.close(flush=True)
    return cut


def test_a_recording_that_was_cut_short_can_be_signed(cut_short: Path) -> None:
    before = len(pictures_in(cut_short))
    Credentials(CERTIFICATE, cards).add(cut_short, SAID)
    assert seen_by_the_library(cut_short)["validation_state"] == "Valid"
    assert len(pictures_in(cut_short)) == before > 10


@pytest.mark.parametrize("complete", [True, False])
def test_a_large_recording_is_signed_in_pieces_where_that_works(
    cut_short: Path, monkeypatch: pytest.MonkeyPatch, complete: bool
) -> None:
    monkeypatch.setattr(module, "LARGE", 1000)
    path = cut_short.with_name("whole.mp4") if complete else cut_short
    assert has_one_body(path) == complete
    Credentials(CERTIFICATE, cards).add(path, SAID)
    assert seen_by_the_library(path)["validation_state"] == "Valid"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    seen = read(path)
    assert seen is not None
    assert seen.faults


@pytest.mark.parametrize("algorithm", KEYS)
async def test_an_own_certificate_signs(tmp_path: Path, algorithm: str) -> None:
    cv2.imwrite(str(tmp_path / "out.png"), scene())
    key = KEYS[algorithm]
    Credentials(Certificate.parse(pem(key) + chain(key), "own"), cards).add(tmp_path / "out.png", SAID)
    seen = read(tmp_path / "out.png")
    assert seen is not None
    assert (seen.faults, seen.signer, seen.trusted) == ((), "Ann's studio", False)


async def test_a_picture_that_was_changed_says_so(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    await through(Picture(path))
    data = bytearray(path.read_bytes())
    data[-200] ^= 1
    path.write_bytes(data)
    seen = read(path)
    assert seen is not None
    assert seen.faults
    assert seen.shown == (ASTER,)


@pytest.mark.parametrize("words", [b"compositeWithTrained", b"aster"])
async def test_a_manifest_that_was_changed_says_so(tmp_path: Path, words: bytes) -> None:
    path = tmp_path / "out.mp4"
    await through(Recording(path))
    data = path.read_bytes()
    assert words in data
    path.write_bytes(data.replace(words, words[:-1] + b"x"))
    seen = read(path)
    assert seen is not None
    assert seen.faults


async def test_a_manifest_that_was_stripped_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "out.jpg"
    await through(Picture(path))
    cv2.imwrite(str(path), np.asarray(cv2.imread(str(path))))
    assert read(path) is None


@pytest.mark.parametrize("name", ["noise.mp4", "empty.mp4", "noise.png", "empty.jpg", "text.tif", "folder.png"])
def test_what_cannot_be_signed_stays_as_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    path = tmp_path / name
    if name.startswith("folder"):
        path.mkdir()
    else:
        path.write_bytes({"noise": bytes(range(256)) * 40, "empty": b"", "text": b"II notes"}[path.stem])
    before = None if path.is_dir() else path.read_bytes()
    Credentials(CERTIFICATE, cards)(path, SAID)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "has no content credentials, it could not be signed: " in record.message
    assert before is None or path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_card_that_is_no_json_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "out.png"), scene())
    before = (tmp_path / "out.png").read_bytes()
    with pytest.raises(SinkError, match="could not be signed"):
        Credentials(CERTIFICATE, lambda _: {"strange": object()}).add(tmp_path / "out.png", SAID)
    assert (tmp_path / "out.png").read_bytes() == before


def test_a_signed_file_keeps_its_mode_and_the_link_that_leads_to_it(tmp_path: Path) -> None:
    path, link = tmp_path / "out.png", tmp_path / "link.png"
    cv2.imwrite(str(path), scene())
    path.chmod(0o640)
    link.symlink_to(path)
    Credentials(CERTIFICATE, cards).add(link, SAID)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert read(path) is not None


def test_what_a_killed_program_left_is_in_nobodys_way_and_a_link_is_not_followed(tmp_path: Path) -> None:
    path, precious = tmp_path / "out.png", tmp_path / "precious"
    cv2.imwrite(str(path), scene())
    precious.write_text("precious")
    (tmp_path / ".out.png.credentials").symlink_to(precious)
    Credentials(CERTIFICATE, cards).add(path, SAID)
    assert precious.read_text() == "precious"
    assert read(path) is not None


@pytest.mark.parametrize("kind", ["video/mp4", "image/png", "image/jpeg"])
@pytest.mark.parametrize("data", [b"", b"\x00" * 64, bytes(range(256)) * 9, b"\xff\xd8\xff\xeb" + b"\xff" * 200])
def test_reading_nonsense_finds_nothing_or_a_fault(tmp_path: Path, kind: str, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    seen = read(path, kind)
    assert seen is None or seen.faults


def test_an_absent_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.mp4 cannot be read: no such file"):
        read(tmp_path / "gone.mp4")


@pytest.mark.parametrize("at", range(0, 100, 9))
async def test_a_damaged_file_never_passes_for_whole(tmp_path: Path, at: int) -> None:
    path = tmp_path / "out.jpg"
    cv2.imwrite(str(path), scene(64, 64))
    Credentials(CERTIFICATE, cards).add(path, SAID)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * at // 100])
    seen = read(path)
    assert seen is None or seen.faults


def test_a_record_of_another_shape_is_none_of_ours() -> None:
    others: list[object] = [None, [], {"session": 5, "shown": []}, {"session": "zz", "shown": [], "disclosure": ""}]
    for own in others:
        assert module._ours(own) == {}
    assert replace(SAID, frames=6) != SAID
