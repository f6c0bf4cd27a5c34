"""The benchmark for graphics cards runs on the processor too, and says that this shows nothing of a card."""

import json
from pathlib import Path

import pytest

from bench import __main__ as command
from bench.gpu import counts, moments, near, shelf_of
from realtime.__main__ import DEMO
from realtime.errors import ModelError, SettingsError
from realtime.settings import load
from realtime.swap.fused.identity import Fusing
from tests.models import write_decoder, write_shelf


def test_one_stream_and_sessions_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    models, out = write_shelf(tmp_path / "models"), tmp_path / "gpu.json"
    words = ["gpu", "--provider", "cpu", "--models", models, "--seconds", "0.1", "--sessions", "1,2", "--out", out]
    monkeypatch.setattr("sys.argv", ["liveswap-bench", *map(str, words), "--width", "320", "--height", "180"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert not ended.value.code
    numbers = json.loads(out.read_text())
    for one in numbers["stream"].values():
        assert one["frames"] >= 1
        assert set(one["ms"]) == {"upload", "draw", "download", "frame"}
        assert 0 < one["draw_share"] < 1
    least, most = numbers["near"]["mean"]
    assert 0 <= least <= most < 5
    assert [row["sessions"] for row in numbers["sessions"]] == [1, 2]
    assert all(row["frames"] >= row["sessions"] for row in numbers["sessions"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "wanted of a data-centre GPU" in shown
    assert "nothing of what a card does" in shown
    assert "on average of a picture's face" in shown


def test_what_is_drawn_elsewhere_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fused model that draws another colour is far away, and one without a usual form is not compared."""
    settings = load(None, {"models": str(write_shelf(tmp_path / "models")), "source": str(DEMO), "fused": True})
    found = moments(settings, shelf_of(settings, Fusing(settings.session)), 320, 180)[:2]
    seen = near(found, settings, 320, 180)
    assert seen is not None
    write_decoder(tmp_path / "models" / "aster.onnx", "aster", (10, 250, 10), features=False)
    other = near(found, settings, 320, 180)
    assert other is not None
    assert other["most"][1] > seen["most"][1] + 20

    def no_usual_form(*_: object) -> None:
        raise ModelError("the file is fused")

    monkeypatch.setattr("bench.gpu.shelf_of", no_usual_form)
    assert near(found, settings, 320, 180) is None


@pytest.mark.parametrize("text", ["", "0", "1,x", "5000", "1;2"])
def test_numbers_of_sessions_are_numbers(text: str) -> None:
    with pytest.raises(SettingsError, match="wanted numbers from 1 to 1000 with commas"):
        counts(text)
    assert counts("1, 8") == (1, 8)
