"""A recording, a picture, a folder or a stream is verified, and what cannot be is refused in one sentence."""

import functools
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from realtime.errors import SourceError, SourceMissing
from realtime.verify import pictures as pictures_module
from realtime.verify.command import digests, judged
from realtime.verify.judge import Judge
from realtime.verify.pictures import Reel
from realtime.verify.report import NOT_MARKED, Report
from realtime.verify.screen import verdict
from tests.models import write_shelf
from tests.realtime.clips import click, write_clip
from tests.realtime.conftest import Say
from tests.realtime.verify.films import FPS, QUICK, SAID, marked, room


def judge(target: object, fps: float | None = None, duration: float | None = None) -> Report:
    return judged(str(target), QUICK, duration, 5.0, fps)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films of eleven seconds."""
    folder = tmp_path_factory.mktemp("films")
    plain = room(11 * FPS)
    write_clip(folder / "plain.mp4", plain, FPS)
    write_clip(folder / "marked.mp4", marked(plain), FPS)
    write_clip(folder / "marked.mkv", marked(plain), FPS)  # can be read without leaping
    return folder


def test_each_stretch_of_a_marked_film_says_so_and_who_is_shown(films: Path) -> None:
    found = judge(films / "marked.mp4")
    assert [(round(s.start), round(s.end)) for s in found.stretches] == [(0, 5), (5, 10)]
    assert all(s.marked and s.payload == SAID and s.identity == "ann" and not s.mirrored for s in found.stretches)
    assert found.code == 0
    assert verdict(found).endswith("is marked in 2 of 2 stretches")


def test_a_film_without_a_mark_is_not_marked(films: Path) -> None:
    found = judge(films / "plain.mp4")
    assert found.code == NOT_MARKED
    assert not found.payloads
    assert "does not say that it is genuine" in verdict(found)


def test_a_film_that_is_marked_for_half_of_its_time_is_marked_there(tmp_path: Path) -> None:
    plain = room(10 * FPS + 1)
    half = plain[: 5 * FPS] + marked(plain)[5 * FPS :]
    found = judge(write_clip(tmp_path / "half.mp4", half, FPS))
    assert [s.marked for s in found.stretches] == [False, True]
    assert found.code == 0


def test_the_command_speaks_json_and_ends_with_0_or_3(say: Say, films: Path, tmp_path: Path) -> None:
    models = write_shelf(tmp_path)
    said = say("verify", films / "marked.mp4", "--json", "--models", models, "--duration", 5)
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert found["marked"] is True
    assert found["payloads"] == [{"format": 1, "model": SAID.model, "session": SAID.session}]
    assert found["stretches"][0]["confidence"] > 0.999999
    said = say("verify", films / "plain.mp4", "--models", models, "--duration", 4)
    assert said.code == 3
    assert "is not marked as far as can be seen" in said.out


def test_the_identities_of_a_shelf_are_known_by_their_digests(tmp_path: Path) -> None:
    assert "aster" in digests(write_shelf(tmp_path)).values()
    assert len(digests(None)) == 8  # four, in two sizes


def test_the_pictures_of_a_folder_are_looked_at_one_by_one(tmp_path: Path) -> None:
    plain = room(1, 640, 480)
    cv2.imwrite(str(tmp_path / "1.jpg"), marked(plain, alone=True)[0])
    cv2.imwrite(str(tmp_path / "2.png"), plain[0])
    found = judge(tmp_path)
    assert [(s.name, s.marked) for s in found.stretches] == [("1.jpg", True), ("2.png", False)]
    assert found.payloads == (SAID,)
    assert judge(tmp_path / "2.png").code == NOT_MARKED


def test_the_pictures_of_a_folder_may_be_those_of_a_film(tmp_path: Path) -> None:
    for number, image in enumerate(marked(room(4 * FPS))):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    found = judge(tmp_path, fps=FPS)
    assert [s.payload for s in found.stretches] == [SAID]


def test_a_film_of_one_picture_is_read_as_a_picture(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "short.mp4", marked(room(1, 640, 480), alone=True))
    assert judge(path).code == 0


class Served(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def address(films: Path) -> Iterator[str]:
    handler = functools.partial(Served, directory=str(films))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_address_is_read_for_so_long_as_is_asked_for(address: str) -> None:
    found = judge(f"{address}/marked.mkv", duration=4)
    assert [s.payload for s in found.stretches] == [SAID]
    assert found.stretches[0].end < 4


def test_what_is_not_there_is_said(address: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be opened: "):
        judge(f"{address}/none.mp4")
    with pytest.raises(SourceMissing, match="there is no file"):
        judge(tmp_path / "none.mp4")
    with pytest.raises(SourceError, match=r"wanted a file, a folder of pictures, or an http"):
        judge("gopher://somewhere/film")


def test_a_stream_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures_module, "OPENS_S", 0.5)
    monkeypatch.setattr(pictures_module, "ANSWERS_S", 0.5)
    with http.server.socketserver.socket.create_server(("127.0.0.1", 0)) as silent:  # type: ignore[attr-defined]
        began = time.monotonic()
        with pytest.raises(SourceError, match="cannot be opened"):
            judge(f"http://127.0.0.1:{silent.getsockname()[1]}/film.mp4")
    assert time.monotonic() - began < 30


def test_a_truncated_film_is_read_as_far_as_it_goes(films: Path, tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mkv", marked(room(6 * FPS)), FPS)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 4])
    assert judge(cut).code == 0
    half = tmp_path / "half.mp4"
    half.write_bytes((films / "marked.mp4").read_bytes()[:20_000])  # without its index
    with pytest.raises(SourceError, match="no video that can be read"):
        judge(half)


def test_a_film_of_uneven_rate_is_read(tmp_path: Path) -> None:
    times = [number / FPS for number in range(5 * FPS) if number % 7 not in (2, 3)]
    shown = marked(room(5 * FPS))
    path = write_clip(tmp_path / "vfr.mp4", [shown[round(at * FPS)] for at in times], FPS, times)
    assert judge(path).payloads == (SAID,)


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_film_is_read_upright(tmp_path: Path, rotation: int) -> None:
    lying = [np.ascontiguousarray(np.rot90(image, -rotation // 90)) for image in marked(room(4 * FPS))]
    path = write_clip(tmp_path / "phone.mp4", lying, FPS, rotation=rotation)
    assert judge(path).payloads == (SAID,)


def test_pictures_of_8k_are_made_small_at_once(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "8k.mkv", [np.zeros((4320, 7680, 3), np.uint8)] * 2, video_codec="mjpeg")
    with Reel(str(path)) as reel:
        assert [shown.grey.shape for shown in reel] == [(480, 853)] * 2


def test_a_film_without_pictures_is_refused(tmp_path: Path) -> None:
    sound, path = click(1.0, 0.5), tmp_path / "sound.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(SourceError, match="has no moving picture: wanted a video"):
        judge(path)


@pytest.mark.parametrize(
    ("name", "data"),
    [("empty.mp4", b""), ("text.mp4", b"nothing to see\n" * 99), ("zeros.mkv", bytes(5000)), ("e.png", b"")],
)
def test_what_is_no_film_ends_with_2_and_one_sentence(say: Say, tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    said = say("verify", tmp_path / name)
    assert said.code == 2
    assert len(said.err.strip().splitlines()) == 1
    assert said.err.startswith("liveswap: ")


@pytest.mark.parametrize("flag", [("--duration", 0), ("--stretch", -1), ("--fps", 1000)])
def test_senseless_wishes_are_refused(say: Say, films: Path, flag: tuple[str, float]) -> None:
    said = say("verify", films / "plain.mp4", *flag)
    assert said.code == 2
    assert "wanted" in said.err


def test_hostile_files_are_read_or_refused(tmp_path: Path) -> None:
    """Bytes of small films are changed, cut out and repeated, always in the same way."""
    drawn = np.random.default_rng(7)
    shown = room(8, 96, 64)
    originals = [write_clip(tmp_path / f"film.{kind}", shown).read_bytes() for kind in ("mp4", "mkv", "avi")]
    outcomes, sentences = set(), []
    for number in range(60):
        data = np.frombuffer(originals[number % 3], np.uint8).copy()
        places = drawn.integers(0, len(data), drawn.integers(1, 40))
        data[places] = drawn.integers(0, 256, len(places))
        first, second = sorted(drawn.integers(0, len(data), 2).tolist())
        torn = [data, data[:second], np.concatenate([data[:first], data[second:]]), np.tile(data, 2)][number % 4]
        path = tmp_path / f"hostile{number}.bin"
        path.write_bytes(torn.tobytes())
        try:
            outcomes.add(judge(path).code)
        except SourceError as error:
            sentences.append(str(error))
    assert outcomes == {NOT_MARKED}
    assert sentences
    assert not [sentence for sentence in sentences if "\n" in sentence]


def test_small_and_narrow_pictures_are_read_without_harm(tmp_path: Path) -> None:
    for number, size in enumerate([(1, 1), (2, 4000), (4000, 3), (17, 16)]):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), np.full((*size, 3), 90, np.uint8))
        assert judge(path).code == NOT_MARKED
    whole = Judge({})
    assert not whole.picture(tmp_path / "2.png").marked
