"""Manifest, mark and log are read together, and contradictions are said."""

import json
from dataclasses import replace

import pytest

from realtime.egress.credentials import Manifest
from realtime.egress.provenance import Marked, together
from realtime.egress.record import Shown
from realtime.egress.session_log import Entry

SESSION = "3ae165" + "0" * 26
ASTER = Shown("aster", "29e95" + "7" * 59)
WHOLE = Manifest((), "liveswap 0.1.0", "liveswap (self-made certificate)", False, True, SESSION, (ASTER,))
MARK = Marked("3ae165", "29e95")
DAY = "2026-11-29T01:02:03+00:00"
ENTRY = Entry(SESSION, DAY, DAY, True, (ASTER,), ("virtualcam",))


def test_manifest_and_mark_of_one_session_belong_together() -> None:
    found = together(WHOLE, [MARK])
    assert found.agrees
    assert found.sentences == (
        "the manifest holds: written by liveswap 0.1.0, signed by liveswap (self-made certificate), "
        "for whom nobody vouches",
        "it says that faces became aster in session 3ae165",
        "manifest and mark belong together: session 3ae165",
    )


def test_a_mark_before_the_first_face_names_no_model() -> None:
    assert together(WHOLE, [Marked("3ae165", "00000"), MARK]).agrees


@pytest.mark.parametrize(
    ("manifest", "marks", "sentence"),
    [
        (None, [MARK], "there is no manifest and there is a mark: the manifest was stripped"),
        (WHOLE, [], "it comes with a mark in the picture, and none was found"),
        (WHOLE, [Marked("ffffff", "29e95")], "session 3ae165 and the mark of session ffffff: they do not belong"),
        (WHOLE, [Marked("3ae165", "abcde")], "the mark is of model abcde, which the manifest does not name"),
        (replace(WHOLE, faults=("the hash differs",)), [MARK], "does not fit the file, which was changed: the hash"),
    ],
)
def test_what_does_not_fit_is_said(manifest: Manifest | None, marks: list[Marked], sentence: str) -> None:
    found = together(manifest, marks)
    assert not found.agrees
    assert any(sentence in said for said in found.sentences)


def test_a_file_with_neither_contradicts_nothing() -> None:
    found = together(None, [])
    assert found.agrees
    assert found.sentences == ("there is no manifest (content credentials)",)


def test_a_manifest_of_another_program_needs_no_mark_of_ours() -> None:
    found = together(replace(WHOLE, generator="a camera", session="", shown=()), [])
    assert found.agrees
    assert len(found.sentences) == 1


def test_a_disclosure_is_told() -> None:
    said = together(replace(WHOLE, disclosure="the host says so"), [MARK]).sentences
    assert "it has no label, and says how the audience is told: the host says so" in said


def test_the_log_says_when_and_where_it_was_us() -> None:
    other = replace(ENTRY, session="77" * 16)
    found = together(None, [MARK], [other, ENTRY])
    assert found.entries == (ENTRY,)
    assert found.logged == (
        "the session log has it: session 3ae165 of 2026-11-29T01:02:03+00:00, aster into virtualcam",
    )
    assert together(None, [MARK], [other]).logged == ("the session log has no such session",)
    assert together(None, [MARK]).logged == ()
    assert together(WHOLE, [], [ENTRY]).entries == (ENTRY,)


def test_a_manifest_that_does_not_hold_finds_nothing_in_the_log() -> None:
    assert together(replace(WHOLE, faults=("changed",)), [], [ENTRY]).entries == ()


def test_it_is_json_as_well() -> None:
    said = json.loads(json.dumps(together(WHOLE, [MARK], [ENTRY]).as_dict()))
    assert said["agrees"]
    assert said["manifest"]["shown"][0]["identity"] == "aster"
    assert said["sessions"][0]["sinks"] == ["virtualcam"]
    assert together(None, []).as_dict()["manifest"] is None


def test_a_mark_that_cannot_be_read_is_a_mark() -> None:
    assert together(WHOLE, [], unread=True).agrees
    assert "the manifest was stripped" in together(None, [], unread=True).sentences[0]


def test_a_single_picture_may_be_too_little_for_a_mark() -> None:
    found = together(WHOLE, [], enough=False)
    assert found.agrees
    assert "may be too little" in found.sentences[-1]
