"""All forms of an identity are put beside PyTorch, and what is out of bounds is named with its layer."""

import json
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from export import __main__ as command
from export.compare import Row, Subject, check, compare, notes, subject_of, table, taken_by
from export.fallback import Mixed
from export.forms import Sample
from export.layers import from_torch, worst_from_torch
from export.parity import FP16, INT8, Agreement, Likeness
from export.quantize import RECIPES, quantize
from export.to_onnx import WholeGraph, export_whole
from realtime.errors import ModelError
from realtime.swap.card import ModelCard
from realtime.swap.identity import MODELS
from tests.export.conftest import SIZE, Made
from training.model import Decoder

pytestmark = pytest.mark.timeout(400)  # a network is traced, which takes a second, or minutes beside other work
NEAR = Likeness(0.01, 0.001, 60.0, 0.9999, 0.0001, 0.002, {"yaw": 0.999})
FAR = Likeness(0.2, 0.02, 30.0, 0.95, 0.01, 0.05, {"yaw": 0.98})


@pytest.fixture(scope="module")
def graph(made: Made) -> WholeGraph:
    decoder = made.swap.decoders["aster"]
    assert isinstance(decoder, Decoder)
    return WholeGraph(made.swap.encoder, decoder).eval()


@pytest.fixture(scope="module")
def file(graph: WholeGraph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, card = tmp_path_factory.mktemp("file") / "aster.onnx", ModelCard(name="aster", kind="rendered")
    record = {"encoder": graph.encoder.shape.record(), "decoder": graph.decoder.shape.record()}
    export_whole(graph.encoder, graph.decoder, path, card, "Apache-2.0", record)
    return path


def test_a_file_becomes_the_network_that_it_was(made: Made, graph: WholeGraph, file: Path) -> None:
    subject = subject_of(file)
    assert (subject.name, subject.precision, subject.encoder) == ("aster", "fp32", None)
    assert taken_by(subject).size == SIZE
    crops = torch.from_numpy(made.crops[:4])
    with torch.inference_mode():
        assert torch.allclose(subject.graph(crops)[0], graph(crops)[0], atol=1e-6)


def test_the_layer_in_which_pytorch_says_something_else_is_named(made: Made, graph: WholeGraph, file: Path) -> None:
    same = from_torch(graph, file, made.crops[:4])
    assert {"encoder.trunk.0", "encoder.eyes.eye.0", "encoder.code", "decoder.layers.7"} <= set(same)
    assert max(same.values()) < 1e-4
    subject = subject_of(file)
    assert isinstance(subject.graph, WholeGraph)
    with torch.no_grad():
        weight = subject.graph.decoder.layers[0].weight
        assert isinstance(weight, torch.Tensor)
        weight.mul_(-1)
    other = from_torch(subject.graph, file, made.crops[:4])
    assert next(name for name, value in other.items() if value > 1e-3) == "decoder.layers.0"
    assert "deviates most, by" in worst_from_torch(subject.graph, file, made.crops[:4])


def test_every_form_is_measured_or_says_why_not(
    made: Made, graph: WholeGraph, file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain = tmp_path / "fp32.onnx"
    shutil.copyfile(file, plain)
    monkeypatch.setattr("export.compare._written", lambda _: nullcontext(plain))  # as the fixture has written it
    rows = compare(Subject("aster", graph), Sample(None, made.crops[:6]), threads=1)
    assert [row.form for row in rows][:3] == ["fp32", "fp16", "int8"]
    assert [row.passed for row in rows][:3] == [True, True, None]
    assert "wanted --data" in rows[2].note
    assert rows[3].form.startswith("TensorRT")
    shown = table("aster", rows)
    assert [column.header for column in shown.columns][1:3] == ["fp32", "fp16"]
    assert all(row.megabytes and row.milliseconds for row in rows[:2])
    assert any(note.startswith("int8: not measured: it is calibrated") for note in notes(rows))
    quantize(file, tmp_path / "int8.onnx", made.crops, RECIPES[0])
    rows = compare(Subject("aster", graph, tmp_path / "int8.onnx", "int8"), Sample(None, made.crops[:6]), threads=1)
    assert rows[2].form == "int8 as it is"
    assert rows[2].likeness is not None


def test_int8_is_made_anew_beside_the_file_where_there_is_something_to_calibrate_on(
    made: Made, graph: WholeGraph, file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain, asked = tmp_path / "fp32.onnx", []
    shutil.copyfile(file, plain)
    quantize(file, tmp_path / "int8.onnx", made.crops, RECIPES[0])

    def mixed(source: Path, target: Path, calibration: object, *_: object) -> Mixed:
        asked.append((source, calibration))
        shutil.copyfile(tmp_path / "int8.onnx", target)
        return Mixed(Agreement(True, ""), ("decoder.layers.3",), {})

    monkeypatch.setattr("export.compare._written", lambda _: nullcontext(plain))
    monkeypatch.setattr("export.compare.to_mixed", mixed)
    subject = Subject("aster", graph, tmp_path / "int8.onnx", "int8")
    rows = compare(subject, Sample(made.crops[:2], made.crops[:6]), threads=1)
    assert [row.form for row in rows][2:4] == ["int8 as it is", "int8 made anew, heads and decoder.layers.3 fp32"]
    assert [source for source, _ in asked] == [plain]


def test_decoders_find_the_encoder_that_they_learned_against() -> None:
    subject = subject_of(MODELS / "small" / "birch.onnx")
    assert (subject.name, subject.precision) == ("birch", "int8")
    assert subject.encoder == MODELS / "small" / "encoder.onnx"
    assert taken_by(subject).size == 128
    with pytest.raises(ModelError, match=r"is the encoder model, wanted a decoder or a whole identity"):
        subject_of(MODELS / "encoder.onnx")


def test_what_is_out_of_bounds_is_one_sentence_with_the_layer() -> None:
    check({"aster": [Row("fp16", NEAR, FP16), Row("int8", note="not measured")]})
    rows = {"aster": [Row("int8", FAR, INT8, "decoder.layers.3.0 deviates most, by 6 %")]}
    with pytest.raises(
        ModelError, match=r"^aster, int8, is out of bounds .*: decoder\.layers\.3\.0 deviates most, by 6 %$"
    ):
        check(rows)
    with pytest.raises(ModelError, match=r"^aster, int8, .*; and so are 2 more$"):
        check({**rows, "birch": [*rows["aster"], *rows["aster"]]})


def test_the_command_writes_numbers_and_fails_out_of_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [Row("fp16", NEAR, FP16), Row("int8", FAR, INT8, "decoder.code deviates most, by 6 %")]
    monkeypatch.setattr(command, "compare", lambda *_: rows)
    path, report = MODELS / "small" / "birch.onnx", tmp_path / "parity.json"
    monkeypatch.setattr(sys, "argv", ["liveswap-export", "parity", str(path), "--json", "--report", str(report)])
    with pytest.raises(SystemExit) as ended:
        command.main()
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert "decoder.code deviates most" in said.err
    assert json.loads(said.out) == json.loads(report.read_text())
    first, second = json.loads(said.out)[str(path)]
    assert (first["form"], first["passed"], first["measured"]["ssim"]) == ("fp16", True, 0.9999)
    assert (second["passed"], second["measured"]["r"]) == (False, {"yaw": 0.98})


def test_what_names_no_command_is_an_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, sentence in (
        (["--out", str(tmp_path)], "nothing to export"),
        (["export", "--out", str(tmp_path)], "nothing to export"),
        ([str(tmp_path / "run"), "--identity", "ann", "--out", "a.onnx"], "there is no checkpoint"),
        (["parity", str(tmp_path / "run"), "--identity", "ann"], "there is no checkpoint"),
        (["parity", str(tmp_path / "no.onnx")], "there is no model"),
    ):
        monkeypatch.setattr(sys, "argv", ["liveswap-export", *arguments])
        with pytest.raises(SystemExit) as ended:
            command.main()
        assert ended.value.code == 2
        assert sentence in capsys.readouterr().err
