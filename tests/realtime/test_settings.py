"""Settings: defaults, a TOML file, flags, and what is refused."""

from dataclasses import fields
from pathlib import Path

import pytest

from realtime.errors import SettingsError
from realtime.settings import Settings, load


def written(folder: Path, text: str) -> Path:
    path = folder / "live.toml"
    path.write_text(text, "utf-8")
    return path


def test_defaults_are_sound() -> None:
    assert load(None, {}) == Settings()
    assert Settings().fallback.no_face == "pass"
    assert Settings().session.provider == "auto"


def test_a_file_fills_and_a_flag_overrides(tmp_path: Path) -> None:
    config = written(tmp_path, 'source = "clip.mp4"\nidentity = "cedar"\nduration = 3\nlive = true\nthreads = 1')
    settings = load(config, {"identity": "aster", "duration": None})
    assert (settings.source, settings.identity, settings.live) == ("clip.mp4", "aster", True)
    assert settings.duration == 3.0
    assert settings.session.threads == 1


def test_one_sink_or_several_may_be_written_down(tmp_path: Path) -> None:
    assert load(written(tmp_path, 'sink = "null"'), {}).sink == ("null",)
    assert load(written(tmp_path, 'sink = ["virtualcam", "out.mp4"]'), {}).sink == ("virtualcam", "out.mp4")


def test_identities_may_be_a_list_as_the_flag_may_be_repeated(tmp_path: Path) -> None:
    settings = load(written(tmp_path, 'identity = ["left=aster", "right=cedar"]'), {})
    assert settings.casting.seats == {"left": "aster", "right": "cedar"}


@pytest.mark.parametrize(
    ("flags", "swapped", "followed"),
    [
        ({}, 4, 8),  # everybody
        ({"identity": "left=aster,right=cedar"}, 2, 6),
        ({"identity": "aster,#7=cedar"}, 4, 8),
        ({"faces": 1}, 1, 5),  # bystanders are followed as well, so that they can be blurred
        ({"faces": 1, "others": "pass"}, 1, 1),
        ({"faces": 64}, 64, 64),
    ],
)
def test_as_many_faces_are_followed_as_have_to_be_swapped_or_blurred(
    flags: dict[str, object], swapped: int, followed: int
) -> None:
    settings = load(None, flags)
    assert (settings.faces or settings.casting.people, settings.tracking.max_faces) == (swapped, followed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("identety = 'aster'", ("'identety'", "live.toml", "'identity'")),
        ("no-faces = 'hold'", ("'no-faces'", "'no_face'")),
        ("identity = [1]", ("identity", "text in quotes")),
        ("threads = 'two'", ("threads in", "'two'", "whole number")),
        ("threads = true", ("threads", "whole number")),
        ("live = 1", ("live", "true or false")),
        ("fps = '30'", ("fps", "a number")),
        ("sink = [1]", ("sink", "list of texts")),
        ("source = 0", ("source", "text in quotes")),
        ("[source]\nname = 'x'", ("source", "text in quotes")),
        ("source = ", ("live.toml", "no TOML")),
    ],
)
def test_a_file_that_says_nonsense_is_told_so(tmp_path: Path, text: str, said: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError) as caught:
        load(written(tmp_path, text), {})
    assert all(word in str(caught.value) for word in said), str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.toml cannot be read: No such file"):
        load(tmp_path / "absent.toml", {})


def test_a_file_of_bytes_is_no_toml(tmp_path: Path) -> None:
    config = tmp_path / "picture.toml"
    config.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(SettingsError, match="no TOML"):
        load(config, {})


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"width": 0}, "width 0"),
        ({"height": 100_000}, "height 100000"),
        ({"fps": -1.0}, "-1 frames a second"),
        ({"fps": float("nan")}, "frames a second"),
        ({"duration": 0.0}, "duration is 0"),
        ({"duration": float("inf")}, "duration is inf"),
        ({"faces": 0}, "faces is 0"),
        ({"faces": 65}, "faces is 65"),
        ({"fade": -1.0}, "fade is -1"),
        ({"fused": True, "fade": 0.5}, "fade is 0.5 s, and fused models draw one identity"),
        ({"cuda_graphs": True}, "wanted --fused beside it"),
        ({"tail": float("nan")}, "tail is nan"),
        ({"threads": 0}, "0 threads"),
        ({"provider": "abacus"}, "abacus"),
        ({"fit": "stretch"}, "letterbox or crop"),
        ({"precision": "fp8"}, "fp8"),
        ({"no_face": "show"}, "no_face is 'show'"),
        ({"unsure": "show"}, "unsure is 'show'"),
        ({"others": "show"}, "others is 'show'"),
        ({"identity": "left=aster,lefty=cedar"}, "'lefty', wanted one of left, centre, right, 1st"),
        ({"source": " "}, "source is empty"),
        ({"identity": ""}, "identity is empty"),
        ({"source": "clip.mp4", "report": "./clip.mp4"}, "the report ./clip.mp4 is the source as well"),
        ({"sink": ("null", "out.mp4"), "report": "out.mp4"}, "the report out.mp4 is the sink as well"),
        ({"sink": ("a.mp4", "./a.mp4")}, "the sink ./a.mp4 is named twice"),
        ({"source": "v.jpg", "sink": ("v.jpg",)}, "the sink v.jpg is the source as well"),
        ({"identity": "ann.onnx", "report": "ann.onnx"}, "the report ann.onnx is the identity as well"),
    ],
)
def test_absurd_values_are_refused_in_one_sentence(flags: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        load(None, flags)
    assert "\n" not in str(caught.value)


def test_every_setting_can_be_written_down(tmp_path: Path) -> None:
    """A field whose type the reader has no words for would be a hole."""
    values = {"bool": "true", "int": "2", "float": "2.5", "str": "'auto'", "tuple": "['null']"}
    choices = {
        "no_face": "'hold'",
        "unsure": "'hold'",
        "others": "'pass'",
        "width": "640",
        "height": "360",
        "size": "'small'",
        "fit": "'crop'",
        "on_camera_lost": "'hold'",
        "cuda_graphs": "true\nfused = true",
        "i_disclose": "'the host says so'\nlabel = false",
        "label_language": "'de'",
        "label_style": "'icon'",
        "label_size": "'large'",
        "label_corner": "'top-left'",
    }
    for field in fields(Settings):
        kind = str(field.type).replace("<class '", "").partition("'")[0].partition(" ")[0].partition("[")[0]
        load(written(tmp_path, f"{field.name} = {choices.get(field.name, values[kind])}"), {})


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"label": False}, 'wanted --i-disclose "how the audience is told" beside --no-label'),
        ({"i_disclose": "the host says so"}, "the label is on: wanted --no-label beside it, or neither"),
        ({"label": False, "i_disclose": " . "}, "says nothing, wanted how the audience is told"),
        ({"label_language": "xx"}, "language 'xx' is unknown, wanted en, de"),
        ({"label_size": "none"}, "size 'none' is unknown"),
        ({"label_style": "off"}, "style 'off' is unknown"),
        ({"label_corner": "middle"}, "corner 'middle' is unknown"),
    ],
)
def test_the_label_goes_only_where_a_sentence_says_how_the_audience_is_told(
    flags: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        load(None, flags)
    assert sentence in str(raised.value)


def test_a_disclosure_is_one_line() -> None:
    assert load(None, {"label": False, "i_disclose": " the host\n says so "}).disclosure == "the host says so"
    assert Settings().disclosure == ""
