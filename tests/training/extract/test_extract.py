"""`liveswap-train extract` from the outside: footage in, a faceset out, or one sentence."""

import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.face.track import Tracker, TrackingSettings
from realtime.frame import Frame
from realtime.swap.session import SessionSettings
from tests.training.extract.footage import pictures, write_consent, write_folder, write_video
from tests.training.test_command import run
from training.extract import table, watch
from training.extract.cover import Cover, outline
from training.extract.folder import COVERED
from training.extract.sighting import sighted


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 pictures of one rendered person as a video of ten seconds."""
    return write_video(tmp_path_factory.mktemp("footage") / "pia.mp4", pictures(48, every=6))


def test_a_video_becomes_a_folder_of_faces(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    consent, out = write_consent(tmp_path / "c.toml"), tmp_path / "pia"
    few = ("--most", "24", "--workers", "2")
    assert run(monkeypatch, "extract", str(footage), "--consent", str(consent), "--out", str(out), *few) == 0
    said = tomllib.loads((out / "faceset.toml").read_text("utf-8"))
    assert (said["name"], said["size"], said["consent"]["kind"]) == ("pia", 256, "rendered")
    rows = table.read(out / "faces.parquet")
    files = sorted(path.name for path in (out / "faces").iterdir())
    assert said["faces"] == len(files) == len(rows["face"]) == len(list((out / "masks").iterdir()))
    assert 10 <= len(files) <= 24
    assert set(rows["source"]) == {"pia.mp4"}
    assert np.ptp(rows["yaw"]) > 10
    assert (np.diff(rows["time"]) > 0).all()
    face, mask = (cv2.imread(str(out / kind / name)) for kind, name in (("faces", files[0]), ("masks", "000000.png")))
    assert face is not None
    assert mask is not None
    assert (face.shape, mask.shape) == ((256, 256, 3), (128, 128, 3))
    core = outline(rows["landmarks"][0].reshape(70, 2), 0.8)
    assert mask[core > 127].mean() > 230
    assert not (out / "work").exists()
    assert cv2.imread(str(out / "overview.jpg")) is not None


def test_an_interrupted_extraction_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second run does not look again at what the first one saw, which here ended because that was too little."""
    consent, out = write_consent(tmp_path / "c.toml"), tmp_path / "pia"
    photos = write_folder(tmp_path / "photos", pictures(10))
    arguments = ("extract", "--consent", str(consent), "--out", str(out), "--workers", "1", str(photos))
    assert run(monkeypatch, *arguments) == 2
    assert "wanted at least 40: more footage" in capsys.readouterr().err
    assert len(list((out / "work").iterdir())) == 1

    def looked_again(*_: object) -> None:
        raise AssertionError("this was looked at before")

    monkeypatch.setattr(watch, "watch_part", looked_again)
    assert run(monkeypatch, *arguments, "--most", "3") == 0
    assert (out / "faceset.toml").is_file()


def test_what_covers_a_face_is_marked_and_left_out_of_its_mask() -> None:
    frame = Frame(pictures(1)[0], 0, 0.0)
    (face,) = Tracker.load(TrackingSettings(), SessionSettings(provider="cpu", threads=1))(frame)
    one = sighted(frame, face, "a", 256, 1.25)
    cover = Cover(SessionSettings(provider="cpu", threads=1))
    mask, share = cover(one.crop, one.landmarks, 1.25)
    assert share < 0.02
    below = one.crop.copy()
    cv2.rectangle(below, (0, 150), (256, 256), (70, 150, 60), -1)  # a book, from the mouth down
    less, more = cover(below, one.landmarks, 1.25)
    assert more > COVERED
    assert less[85:100, 50:78].mean() < 0.3 * mask[85:100, 50:78].mean()
    assert less[45:60, 50:78].mean() > 200


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda p: write_folder(p / "in", [np.full((200, 200, 3), 90, np.uint8)] * 2), "no face was found in 2 frames"),
        (lambda p: write_folder(p / "in", [one[::6, ::6] for one in pictures(2)]), "too small, wanted 64 px"),
        (
            lambda p: write_folder(p / "in", pictures(3), lambda one: np.asarray(cv2.GaussianBlur(one, (0, 0), 9))),
            "blurred",
        ),
        (lambda p: p / "nowhere.mp4", "there is no file"),
        (lambda p: write_consent(p / "notes.txt", "hello"), "is no video that can be read"),
    ],
    ids=["no face", "small", "blurred", "missing", "text"],
)
def test_footage_that_teaches_nothing_is_one_sentence(
    make: object, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(make)
    place, consent = make(tmp_path), write_consent(tmp_path / "c.toml")
    arguments = ("extract", str(place), "--consent", str(consent), "--out", str(tmp_path / "o"), "--workers", "1")
    assert run(monkeypatch, *arguments) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("liveswap-train: ")
    assert sentence in said
    assert not (tmp_path / "o" / "faceset.toml").exists()


def test_without_consent_nothing_is_looked_at(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "extract", str(footage), "--out", "o") == 2
    assert "without their consent" in capsys.readouterr().err
    assert run(monkeypatch, "extract", str(footage), "--out", "o", "--consent", "c.toml") == 2
    assert "`liveswap-train consent` writes one" in capsys.readouterr().err
    assert run(monkeypatch, "consent") == 0
    assert run(monkeypatch, "consent") == 2
    assert "was left as it is" in capsys.readouterr().err
    assert run(monkeypatch, "extract", str(footage), "--out", "o", "--consent", "consent.toml") == 2
    assert not (tmp_path / "o").exists()


def test_a_folder_of_something_else_is_left_alone(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "letter.txt").write_text("dear")
    consent = write_consent(tmp_path / "c.toml")
    assert run(monkeypatch, "extract", str(footage), "--consent", str(consent), "--out", str(tmp_path / "o")) == 2
    assert "holds something else than a faceset" in capsys.readouterr().err
