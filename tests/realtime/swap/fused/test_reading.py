"""Crops that are read within a graph are those that the pipeline cuts out, to a grey level."""

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from realtime.face.geometry import align
from realtime.swap.fused.asked import asked, feed
from realtime.swap.fused.model import MEMORY
from realtime.swap.fused.reading import Frames, Place, aligned
from realtime.swap.fused.values import INT64, Sheet
from realtime.swap.views import crop_of
from tests.realtime.swap.helpers import face_at, scene

SIZE = 64
TAKEN = ("extent", "to_template", "places", "cells", "taps")


@pytest.fixture(scope="module")
def reader() -> ort.InferenceSession:
    """A model that cuts out crops and does nothing else."""
    sheet = Sheet()
    extent = sheet.given("extent")
    of = sheet.given("places").part(1, 0, 1).shaped(-1, 1, 1)
    frames = Frames(sheet.given("seen").shaped(-1, 3), of, extent.at(0, 0), extent.at(0, 1))
    crop = aligned(frames, Place.of(sheet.given("to_template")), sheet.given("cells"), sheet.given("taps"), SIZE, 1.25)
    sheet.named(crop, "crop")
    nodes = [helper.make_node(node.kind, node.inputs, [node.output], **node.attributes) for node in sheet.nodes]
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in sheet.constants.items()]
    kinds = {"seen": (onnx.TensorProto.UINT8, 4), "extent": (INT64, 1), "places": (INT64, 2), "taps": (INT64, 1)}
    kinds |= {"to_template": (onnx.TensorProto.FLOAT, 3), "cells": (onnx.TensorProto.FLOAT, 2)}
    inputs = [helper.make_tensor_value_info(name, kind, [None] * axes) for name, (kind, axes) in kinds.items()]
    output = helper.make_tensor_value_info("crop", onnx.TensorProto.FLOAT, [None] * 4)
    graph = helper.make_graph(nodes, "reader", inputs, [output], values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    ("x", "y", "side", "degrees"),
    [(160, 120, 40, 0), (150, 118, 90, 30), (160, 120, 190, 0), (170, 120, 150, -50), (20, 230, 150, 10)],
)
def test_a_crop_is_what_align_cuts_out(
    reader: ort.InferenceSession, x: float, y: float, side: float, degrees: float
) -> None:
    image = np.asarray(cv2.GaussianBlur(scene(), (0, 0), 1.5), np.uint8)
    face = face_at(x, y, side, degrees=degrees)
    one = asked(face, None, np.zeros(MEMORY, np.float32), 320, 240)
    assert one is not None
    told = feed([one], [0], 320, 240, SIZE, 1.25)
    (crop,) = reader.run(None, {**{name: told[name] for name in TAKEN}, "seen": image[None]})
    wanted = align(image, crop_of(face, SIZE, 1.25), SIZE)
    inside = np.abs(crop[0] - wanted)[2:-2, 2:-2]  # at the frame's border cells and pixels are repeated differently
    assert inside.mean() < 0.3
    assert np.percentile(inside, 99) <= 2
