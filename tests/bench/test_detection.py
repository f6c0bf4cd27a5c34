"""The detection measurement counts what is there, on known pictures and on a clip that the test makes."""

import json
from pathlib import Path

import av
import numpy as np
import pytest
from skimage import data

from bench.detection import detection, known_pictures, look_at, watch
from realtime.errors import ModelError
from realtime.face.detect import open_detector
from realtime.face.geometry import Image
from realtime.face.landmarks import Landmarker
from realtime.swap.session import SessionSettings
from tests.models import write_landmarker


def write_clip(path: Path, seen: list[bool]) -> Path:
    """A clip of the astronaut at 10 frames a second; grey where she is not to be seen."""
    picture: Image = data.astronaut()  # type: ignore[no-untyped-call]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 256, 256, "yuvj420p"
        for there in seen:
            image = np.ascontiguousarray(picture[:256, 100:356]) if there else np.full((256, 256, 3), 128, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_every_face_of_the_known_pictures_is_found() -> None:
    detector = open_detector("centerface", 1)
    results = [look_at(detector, *known) for known in known_pictures()]
    assert results
    for result in results:
        assert (result.found, result.thorough) == (result.wanted, result.wanted), result.name


def test_a_clips_share_is_of_its_frames(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", [True] * 6 + [False] * 2)
    landmarker = Landmarker.load(write_landmarker(tmp_path / "landmarks.onnx"), SessionSettings(threads=1))
    result = watch(open_detector("centerface", 1), landmarker, clip)
    assert (result.frames, result.found) == (8, 0.75)
    assert result.followed == 1.0  # the small landmark model sees a face everywhere
    assert result.numbers == 1
    alone = watch(open_detector("centerface", 1), None, clip)
    assert (alone.found, alone.followed) == (0.75, None)


def test_the_report_is_a_table_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "clips").mkdir()
    write_clip(tmp_path / "clips" / "clip.mkv", [True, False])
    (tmp_path / "clips" / "NOTICE.md").write_text("no clip")
    detection(tmp_path / "clips", tmp_path / "out" / "detection.json", threads=1, repeats=1)
    report = json.loads((tmp_path / "out" / "detection.json").read_text())
    assert [clip["name"] for clip in report["clips"]] == ["clip.mkv"]
    assert report["clips_found"] == 0.5
    assert {one["look"] for one in report["times"]} == {"quick", "thorough"}
    assert all(0 < one["p50_ms"] <= one["p95_ms"] for one in report["times"])
    printed = capsys.readouterr().out
    assert "| clip.mkv | 2 | 50.0 % |" in printed
    assert str(tmp_path) not in printed


def test_a_landmark_network_that_was_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model file"):
        detection(landmarks=tmp_path / "gone.onnx", repeats=1)
