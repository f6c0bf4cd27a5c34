"""The command turns checkpoints into a folder that the pipeline runs, or says in one sentence why not."""

import contextlib
import io
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from export.__main__ import main
from export.parity import Bounds
from realtime.swap.identity import Shelf
from realtime.swap.session import SessionSettings
from tests.export.conftest import Made
from training.checkpoint import SWAP, load, save
from training.model import SwapNet
from training.origin import Origin, fill

pytestmark = pytest.mark.timeout(
    400
)  # networks are traced and calibrated, which takes seconds, or minutes beside other work


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["liveswap-export", *(str(argument) for argument in arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    code = ended.value.code
    return code if isinstance(code, int) else 0


def be_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever int8 loses is near enough, so that no layer has to give way, which takes a while."""
    monkeypatch.setattr("export.forms.INT8", Bounds(psnr=0, ssim=0, mask=1, tile=1, r=-1))
    for name in ("POINTS_BOUND", "POINTS_WORST", "BLEND_BOUND"):
        monkeypatch.setattr(f"export.parity.{name}", 1000.0)


@dataclass(frozen=True)
class Exported:
    """What the command made of both checkpoints and some crops."""

    folder: Path
    said: str


@pytest.fixture(scope="module")
def exported(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Made once; no test changes it."""
    out, said = tmp_path_factory.mktemp("exported") / "models", io.StringIO()
    words = ("--swap", made.swap_file, "--landmarks", made.landmarks_file, "--data", made.crops_file, "--out", out)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        be_content(patch)
        assert run(patch, *words, "--threads", 1) == 0
    return Exported(out, said.getvalue())


def test_checkpoints_become_a_folder_of_models(exported: Exported) -> None:
    names = sorted(path.name for path in exported.folder.iterdir())
    assert names == ["aster.onnx", "cedar.onnx", "encoder.onnx", "landmarks.onnx"]
    assert Shelf.load(exported.folder, SessionSettings(provider="cpu", threads=1)).names == ("aster", "cedar")
    assert all(word in exported.said for word in ("landmarks", "encoder", "aster", "fp32", "int8", "PSNR", "yes"))


def test_without_data_everything_is_fp32(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "--swap", made.swap_file, "--out", tmp_path) == 0
    cards = Shelf.load(tmp_path, SessionSettings(provider="cpu", threads=1)).cards()
    assert [(card.name, card.precision) for card in cards] == [("aster", "fp32"), ("cedar", "fp32")]
    assert cards[0].training["steps"] == 34


def test_a_decoder_that_learned_alone_joins_the_encoder_that_stays(
    made: Made, exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_content(monkeypatch)
    out = shutil.copytree(exported.folder, tmp_path / "models")
    encoder, aster = ((out / name).read_bytes() for name in ("encoder.onnx", "aster.onnx"))
    origin = Origin.read(out)
    net = SwapNet(origin.encoder_shape, origin.decoder_shape, ("aster", "dora"))
    fill(net, origin)
    shapes = {"encoder": origin.encoder_shape.record(), "decoder": origin.decoder_shape.record()}
    record = {**shapes, "identities": ["aster", "dora"], "only": ["dora"], "steps": 5}
    save(tmp_path / "swap.pt", SWAP, {"record": record, "average": net.state_dict()})
    arguments = ("--swap", tmp_path / "swap.pt", "--encoder", out / "encoder.onnx", "--data", made.crops_file)
    assert run(monkeypatch, *arguments, "--out", out, "--threads", 1) == 0
    assert [(out / name).read_bytes() for name in ("encoder.onnx", "aster.onnx")] == [encoder, aster]
    shelf = Shelf.load(out, SessionSettings(provider="cpu", threads=1))
    assert shelf.names == ("aster", "cedar", "dora")
    assert {card.name: card.training["steps"] for card in shelf.cards()} == {"aster": 34, "cedar": 34, "dora": 5}


def test_decoders_of_another_encoder_are_not_exported_for_this_one(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--swap", made.swap_file, "--out", tmp_path) == 0
    content = load(made.swap_file, SWAP)
    content["average"]["encoder.code.bias"] += 0.1
    save(tmp_path / "other.pt", SWAP, content)
    arguments = ("--swap", tmp_path / "other.pt", "--encoder", tmp_path / "encoder.onnx", "--out", tmp_path / "more")
    assert run(monkeypatch, *arguments) == 2
    assert "learned against another encoder" in capsys.readouterr().err
    assert not (tmp_path / "more").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "nothing to export"),
        (("--swap", "nowhere.pt"), "there is no checkpoint nowhere.pt"),
        (("--swap", __file__), "is truncated or no checkpoint"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    assert run(monkeypatch, "--out", tmp_path, *arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error


def test_a_checkpoint_of_the_other_kind_is_named(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--out", tmp_path, "--swap", made.landmarks_file) == 2
    assert "wanted liveswap-swap-1" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert run(monkeypatch, "--landmarks", made.landmarks_file, "--out", tmp_path / "file" / "models") == 2
    assert "cannot be written" in capsys.readouterr().err
