"""The gate is the only way out: in the source, nobody else writes to a sink."""

import ast
from pathlib import Path

import pytest

import realtime

ROOT = Path(realtime.__file__).parent
# Who may call a sink's write: the gate, the flow that is handed a gate, and sinks around sinks, behind the gate.
DOORS = ("egress", "flow")
BEHIND_THE_GATE = ("sinks/fan_out.py", "album.py")


def writes(source: str) -> list[int]:
    """The lines on which a sink is written to: an awaited .write(), or .write() of something called a sink."""
    found = []
    for node in ast.walk(ast.parse(source)):
        call = node.value if isinstance(node, ast.Await) else node
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "write":
            receiver = ast.unparse(call.func.value).lower()
            if isinstance(node, ast.Await) or "sink" in receiver:
                found.append(call.lineno)
    return sorted(set(found))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("async def f(s):\n    await s.write(frame)", [2]),
        ("async def f(self):\n    await asyncio.wait_for(self._sinks[0].write(frame), 1)", [2]),
        ("def f(sink):\n    return sink.write(frame)", [2]),
        ("def f(file):\n    file.write('text')", []),
    ],
)
def test_the_search_finds_writes(source: str, expected: list[int]) -> None:
    assert writes(source) == expected


def test_only_the_gate_and_the_flow_write_to_sinks() -> None:
    files = [path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] not in DOORS]
    assert files
    found = {path.relative_to(ROOT).as_posix(): writes(path.read_text()) for path in files}
    assert {name: lines for name, lines in found.items() if lines and name not in BEHIND_THE_GATE} == {}


def test_whoever_builds_a_pipeline_builds_a_gate() -> None:
    for path in ROOT.rglob("*.py"):
        if path.relative_to(ROOT).parts[0] in DOORS:
            continue
        called = {
            ast.unparse(node.func).split(".")[-1]
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
        }
        assert "Pipeline" not in called or called & {"Gate", "gate"}, (
            f"{path.relative_to(ROOT)} builds a pipeline without a gate"
        )


# What puts a picture where somebody else can see it: into a file, a window, a stream or another program.
WAYS_OUT = ("imwrite", "imencode", "imshow", "from_ndarray")
# Who may: sinks and what stands behind a gate, and those that never hold a frame.
MAY_LET_OUT = ("sinks/", "album.py", "webrtc/tracks.py")
HOLD_NO_FRAMES = ("doctor/", "webrtc/sound.py")


def ways_out(source: str) -> set[str]:
    """The names of calls that let something out."""
    calls = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return {call.attr for call in calls if isinstance(call, ast.Attribute) and call.attr in WAYS_OUT}


def test_only_what_stands_behind_the_gate_can_let_a_picture_out() -> None:
    found = {path.relative_to(ROOT).as_posix(): ways_out(path.read_text()) for path in ROOT.rglob("*.py")}
    letting = {name: calls for name, calls in found.items() if calls}
    assert "sinks/picture.py" in letting
    strangers = {name: calls for name, calls in letting.items() if not name.startswith((*MAY_LET_OUT, *HOLD_NO_FRAMES))}
    assert strangers == {}


def test_the_search_finds_ways_out() -> None:
    assert ways_out("def f(image):\n    cv2.imwrite('a.png', image)\n    av.VideoFrame.from_ndarray(image)") == {
        "imwrite",
        "from_ndarray",
    }
