"""Parts of extraction alone: footage cut into parts, poses, duplicates, people, tables, consent."""

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realtime.errors import LiveswapError, SourceError
from realtime.face.geometry import template
from tests.training.extract.footage import pictures, write_folder, write_video
from training.consent import read_consent
from training.consent import template as consent_template
from training.extract import footage, table
from training.extract.choose import choose
from training.extract.footage import frames_of, parts_of
from training.extract.people import chosen, people_in
from training.extract.sighting import LOOK, Sighting, pose_of, sharpness_of
from training.extract.watch import Differing, Seen, _columns, seen_of
from training.model import template_points

TODAY = datetime.date(2026, 11, 29)
POINTS = template_points(1.25).numpy()
AGREED = """\
name = "ann"
kind = "person"
who = "Ann"
contact = "a@example.org"
statement = "I agree."
scope = "films"
revocation = "a@example.org"
date = 2026-01-01
until = 2027-01-01
"""


def sighting(track: int = 1, shade: int = 120, sharpness: float = 0.5, **changes: object) -> Sighting:
    """A face that looks ahead and does nothing."""
    crop = np.full((64, 64, 3), shade, np.uint8)
    look = np.full((LOOK, LOOK, 3), shade, np.uint8)
    look[: LOOK // 2, :, 0] = 255 - shade
    one = Sighting(
        "a.mp4", 0.0, track, 200.0, sharpness, np.zeros(3, np.float32), POINTS, np.zeros(10, np.float32),
        np.full(4, 100, np.float32), look, crop,
    )  # fmt: skip
    return replace(one, **changes)  # type: ignore[arg-type]


def seen(some: list[Sighting]) -> Seen:
    return seen_of([_columns(some) | {"counts": [len(some), len(some), 0]}])


def test_a_long_video_is_cut_into_parts_whose_frames_are_its_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footage, "PART", 2.0)
    path = write_video(tmp_path / "a.mp4", [picture[:64, :64] for picture in pictures(1)] * 33)
    parts = parts_of([path])
    assert [(part.begins, part.ends) for part in parts] == [(0, 2), (2, 4), (4, np.inf)]
    times = [frame.at for part in parts for frame in frames_of(part)]
    np.testing.assert_allclose(np.array(times, float), np.arange(33) / 5, atol=1e-3)


def test_folders_give_their_pictures_and_videos(tmp_path: Path) -> None:
    some = pictures(2, side=64)
    write_folder(tmp_path / "in", some)
    write_video(tmp_path / "in" / "a.mp4", some * 3)
    parts = parts_of([tmp_path / "in"])
    assert [part.moving for part in parts] == [True, False]
    assert [frame.at for frame in frames_of(parts[1])] == [0, 1]
    (tmp_path / "out").mkdir()
    with pytest.raises(SourceError, match="neither videos nor pictures"):
        parts_of([tmp_path / "out"])
    with pytest.raises(LiveswapError, match=r"two videos are called a\.mp4"):
        parts_of([tmp_path / "in", tmp_path / "in" / "a.mp4"])


def test_a_pose_has_the_sides_that_the_renderer_means() -> None:
    ahead = template() * 200
    assert np.abs(pose_of(ahead)).max() < 8
    turned = ahead.copy()
    turned[27:36, 0] += 15  # the nose to the picture's right
    lifted = ahead.copy()
    lifted[[0, 16], 1] += 15  # the ears down: the face looks up
    assert pose_of(turned)[0] > 7
    assert pose_of(lifted)[1] > pose_of(ahead)[1] + 10


def test_what_is_blurred_is_less_sharp() -> None:
    import cv2

    (picture,) = pictures(1)
    values = [sharpness_of(picture, 1.25)]
    values += [sharpness_of(np.asarray(cv2.GaussianBlur(picture, (0, 0), s), np.uint8), 1.25) for s in (2, 6)]
    assert values[0] > 1.5 * values[1] > 2 * values[2]


def test_of_duplicates_the_sharpest_stays() -> None:
    differing = Differing()
    open_mouth = np.zeros(10, np.float32)
    open_mouth[2] = 0.6
    for one in (sighting(), sighting(sharpness=0.7), sighting(sharpness=0.4), sighting(blend=open_mouth)):
        differing.offer(one)
    assert [one.sharpness for one in differing.kept] == [0.7, 0.5]


def test_people_are_told_apart_and_asked_for_by_number() -> None:
    ann, bob, again = (
        [sighting(track, shade, time=10.0 * track + n) for n in range(count)]
        for track, shade, count in ((1, 90, 9), (2, 170, 5), (3, 92, 4))
    )
    people = people_in(seen([*ann, *bob, *again]))
    assert [(person.number, len(person.rows)) for person in people] == [(1, 13), (2, 5)]
    with pytest.raises(LiveswapError, match=r"2 people are in the footage, person 1 \(13 faces\) and person 2"):
        chosen(people, (), "people.jpg")
    with pytest.raises(LiveswapError, match="there is no person 3"):
        chosen(people, (3,), "people.jpg")
    np.testing.assert_array_equal(chosen(people, (2,), "people.jpg"), range(9, 14))
    assert len(chosen(people, (1, 2), "people.jpg")) == 18


def test_two_who_stand_side_by_side_are_two_people_however_alike() -> None:
    both = [sighting(track, time=float(time)) for time in range(4) for track in (1, 2)]
    assert len(people_in(seen(both))) == 2


def test_rare_poses_stay_and_plenty_is_cut() -> None:
    rng = np.random.default_rng(0)

    def turned(yaw: float) -> Sighting:
        blend = rng.uniform(0, 3, 10).astype(np.float32)
        return sighting(pose=np.array([yaw, 0, 0], np.float32), blend=blend, sharpness=float(rng.uniform(0.4, 0.6)))

    some = seen([*(turned(0) for _ in range(60)), *(turned(40) for _ in range(4))])
    choice = choose(some, np.arange(64), most=20, least=2)
    assert len(choice.rows) == 20
    assert (some.pose[choice.rows, 0] == 40).sum() == 4
    assert choice.too_many == 44


def test_a_blurred_face_stays_only_where_its_pose_is_rare() -> None:
    blends = np.eye(40, 10, dtype=np.float32) + np.arange(40, dtype=np.float32)[:, None]
    ahead = [sighting(blend=blend, sharpness=0.5) for blend in blends]
    soft = sighting(sharpness=0.2, blend=blends[0] - 9)
    aside = sighting(sharpness=0.2, pose=np.array([40, 0, 0], np.float32))
    choice = choose(seen([*ahead, soft, aside]), np.arange(42), most=100, least=2)
    assert choice.blurred == 1
    assert choice.rows.tolist() == [*range(40), 41]
    with pytest.raises(LiveswapError, match=r"1 faces are left of 3 .*duplicates.*, wanted at least 10"):
        choose(seen([sighting()] * 3), np.arange(3), most=100, least=10)


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written: dict[str, Any] = {
        "who": ["ann", "bob"],
        "data": [b"\x00", b"\xff"],
        "x": np.arange(2.0),
        "p": np.arange(8.0).reshape(2, 2, 2),
    }
    table.write(tmp_path / "a.parquet", written)
    read = table.read(tmp_path / "a.parquet")
    assert (read["who"], read["data"]) == (written["who"], written["data"])
    np.testing.assert_array_equal(read["p"], np.arange(8.0).reshape(2, 4))
    (tmp_path / "a.parquet").write_bytes(b"PAR1 half of it")
    with pytest.raises(LiveswapError, match="cannot be read as a table"):
        table.read(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("said", "instead", "sentence"),
    [
        ('who = "Ann"', "", "lacks who"),
        ("2027-01-01", "2026-11-01", "has expired: the consent of 'Ann' ended on 2026-11-01"),
        ("2026-01-01", "2026-12-24", "begins on 2026-12-24"),
        ("2026-01-01", '"soon"', "wanted a date"),
        ('"person"', '"alien"', "wanted rendered or person"),
        ('"ann"', '"../x"', "a name that is none"),
        ('name = "ann"', "name = ", "is no TOML"),
    ],
)
def test_consent_that_is_not_complete_and_valid_is_refused(
    said: str, instead: str, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "consent.toml"
    path.write_text(AGREED, "utf-8")
    assert read_consent(path, TODAY).until == datetime.date(2027, 1, 1)
    path.write_text(AGREED.replace(said, instead), "utf-8")
    with pytest.raises(LiveswapError, match=sentence):
        read_consent(path, TODAY)


def test_a_consent_file_as_written_is_not_consent_yet(tmp_path: Path) -> None:
    path = tmp_path / "consent.toml"
    path.write_text(consent_template(TODAY), "utf-8")
    with pytest.raises(LiveswapError, match="has a name that is none"):
        read_consent(path, TODAY)
