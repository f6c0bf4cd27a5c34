"""The report of a training is one file that needs no other, says what there is, and escapes what people wrote."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console

from realtime.errors import LiveswapError
from tests.training.facesets import write_faceset
from tests.training.test_command import run as command
from tests.training.test_own import tiny
from training import checkpoint
from training.curves import CURVES
from training.directions import evaluate_own
from training.evaluate import write
from training.report.report import REPORT, in_words, previews, write_report
from training.watching import watched

PERSON = """\
name = "{name}"
kind = "person"
who = "Ann <script>alert(1)</script>"
contact = "office"
statement = "I agree"
scope = "films & talks"
date = "2026-01-01"
until = "2999-01-01"
revocation = "at the office"
"""


class Page(HTMLParser):
    """What a page shows, and what it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.said, self.tags, self.pictures = "", set[str](), list[bytes]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "href"):
                assert value is not None
                assert value.startswith("data:image/"), "a report needs nothing from elsewhere"
                self.pictures.append(base64.b64decode(value.partition(",")[2]))

    def handle_data(self, data: str) -> None:
        self.said += data


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short training with an evaluation."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("reported")
    people = (
        str(write_faceset(folder / "aster", "aster", consent=PERSON)),
        str(write_faceset(folder / "cedar", "cedar", seed=1)),
    )
    with watched(folder / "run", 2, Console(file=io.StringIO()), board=False) as watch:
        tiny(people, folder / "run", 4, watch=watch)
    write(evaluate_own(folder / "run" / "swap.pt", people), folder / "run" / "evaluation.json")
    return folder / "run"


def test_a_report_is_one_file_with_everything(run: Path) -> None:
    path = write_report(run)
    assert path == run / REPORT
    page = Page(path.read_text("utf-8"))
    for part in (
        "Training of aster and cedar", "4 steps in", "40 of aster, 40 of cedar", "core minutes", "aster, held out",
        "at step 4.", "films & talks", "2999-01-01", "trunk rate", "torch", torch.__version__[:4],
        "blink r", "(mean picture)", "step 0",
    ):  # fmt: skip
        assert part in page.said, part
    assert not page.tags & {"script", "link", "iframe"}
    assert "Ann <script>alert(1)</script>" in page.said  # as words
    kinds = [data[:5] for data in page.pictures]
    assert kinds.count(b"<?xml") == 3  # losses, SSIM, PSNR
    jpegs = [cv2.imdecode(np.frombuffer(data, np.uint8), 1) for data in page.pictures if data[:2] == b"\xff\xd8"]
    assert [picture.shape for picture in jpegs if picture is not None] == [(192, 128, 3)] * 2
    drawn = next(data for data in page.pictures if b"<?xml" in data[:5]).decode()
    assert len(re.findall("<path", drawn)) > 20


def test_a_report_says_what_is_missing_or_old(run: Path, tmp_path: Path) -> None:
    (tmp_path / "swap.pt").write_bytes((run / "swap.pt").read_bytes())
    said = Page(write_report(tmp_path).read_text("utf-8")).said
    assert "Not measured yet: liveswap-train evaluate" in said
    assert "The folder holds no curves." in said
    assert "There are none." in said
    found = json.loads((run / "evaluation.json").read_text())
    found["record"]["steps"] = 3
    (tmp_path / "evaluation.json").write_text(json.dumps(found))
    (tmp_path / CURVES).write_text("")
    assert "at step 3. The training has gone on since, to step 4." in Page(write_report(tmp_path).read_text()).said
    (tmp_path / "evaluation.json").write_text("{")
    with pytest.raises(LiveswapError, match=r"evaluation\.json cannot be read"):
        write_report(tmp_path)


def test_a_report_shows_the_last_preview_whole_and_some_earlier_ones_small(tmp_path: Path) -> None:
    (tmp_path / "previews").mkdir()
    for step in range(0, 900, 100):
        cv2.imwrite(str(tmp_path / "previews" / f"step-{step:08d}.jpg"), np.full((960, 640, 3), 90, np.uint8))
    shown = previews(tmp_path)
    assert [when for when, _ in shown] == ["step 800", "step 700", "step 500", "step 400", "step 200", "step 0"]
    sizes = [cv2.imdecode(np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8), 1) for _, uri in shown]
    assert [one.shape[:2] for one in sizes if one is not None] == [(960, 640)] + [(480, 320)] * 5
    (tmp_path / "previews" / "step-00000000.jpg").write_bytes(b"")
    with pytest.raises(LiveswapError, match="cannot be read as a picture"):
        previews(tmp_path)


def test_a_report_that_cannot_be_made_is_one_sentence(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "report", str(tmp_path)) == 2
    assert "there is no checkpoint" in capsys.readouterr().err
    content = checkpoint.load(run / "swap.pt", checkpoint.SWAP)
    content["record"] = {key: value for key, value in content["record"].items() if key != "training_sets"}
    checkpoint.save(tmp_path / "swap.pt", checkpoint.SWAP, content)
    assert command(monkeypatch, "report", str(tmp_path)) == 2
    assert "learned from pairs, wanted a training on footage" in capsys.readouterr().err
    assert command(monkeypatch, "report", str(run)) == 0
    assert REPORT in capsys.readouterr().out
    (tmp_path / "swap.pt").write_bytes((run / "swap.pt").read_bytes())
    (tmp_path / f"{REPORT}.part").mkdir()
    assert command(monkeypatch, "report", str(tmp_path)) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"l1": 6.0, "up": "shuffle"}, "l1 6, up shuffle"),
        ([16, 32], "16 32"),
        ((8, 16), "8 16"),
        (True, "yes"),
        (0.00123456789, "0.00123457"),
        ("a<b", "a<b"),
    ],
)
def test_values_are_said_in_words(value: object, said: str) -> None:
    assert in_words(value) == said
