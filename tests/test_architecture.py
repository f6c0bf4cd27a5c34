"""The import rules of docs/architecture.md, and that no module keeps state."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("realtime", "training", "export", "bench", "deploy")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

# What training knows of the pipeline: what stands in a picture and what reads pictures, but not what runs a session.
OF_REALTIME = ("realtime.errors", "realtime.face", "realtime.frame", "realtime.sources", "realtime.swap")

# (who, what it never imports, what of that it may import all the same)
RULES = (
    ("realtime", ("torch", "training", "export", "bench", "deploy"), ()),
    ("realtime.flow", ("realtime.face", "realtime.swap", "realtime.egress", "realtime.sources", "realtime.sinks"), ()),
    ("realtime.face", ("realtime.swap", "realtime.egress", "realtime.flow"), ()),
    ("realtime.swap", ("realtime.flow", "realtime.sources", "realtime.sinks", "realtime.egress", "asyncio"), ()),
    ("realtime.face", ("realtime.sources", "realtime.sinks", "asyncio"), ()),
    ("training", ("realtime", "export", "bench"), OF_REALTIME),
    ("export", ("realtime", "training", "bench"), ("realtime.errors", "realtime.face", "realtime.swap", "training")),
)
# A detector and the landmark network are models too: these two files may create sessions and read contracts.
EXCEPTIONS = {
    "realtime.face.detect": ("realtime.swap.session", "realtime.swap.contract"),
    "realtime.face.landmarks": ("realtime.swap.session", "realtime.swap.contract"),
    "realtime.face.track": ("realtime.swap.session",),
}
OPTIONAL = (
    "aiohttp",
    "aiortc",
    "insightface",
    "moderngl",
    "prometheus_client",
    "pyarrow",
    "pyvirtualcam",
    "tensorrt",
    "torch.utils.tensorboard",
)
OF_WEBRTC = ("aiohttp", "aiortc", "prometheus_client")  # the extra of that name: known by one folder, not one file
WEBRTC_MAY = ("realtime.webrtc", "bench", "deploy.ray")  # the far end of a bench is a peer too
ASYNCIO_MAY = ("realtime.flow", "realtime.sources", "realtime.sinks", "realtime.webrtc", "bench", "deploy.ray")
ASYNCIO_FILES = ("realtime.__main__", "realtime.carrying", "realtime.keys", "realtime.signals", "realtime.status")
EGRESS_MAY = ("realtime.egress", "realtime.webrtc", "realtime.verify", "bench")
EGRESS_FILES = ("realtime.carrying", "realtime", "realtime.settings", "realtime.sign")
# Who hands frames to a sink: the gate, the loop before it, whose sink is a gate, and two sinks around others.
WRITERS = ("realtime.egress.gate", "realtime.flow.pipeline", "realtime.sinks.fan_out", "realtime.album")
MUTABLE_CALLS = ("dict", "list", "set", "defaultdict", "deque", "Counter", "OrderedDict", "bytearray")


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Every module that a file names in an import, also inside functions; absolute."""
    package = module_of(path).split(".") if path.name == "__init__.py" else module_of(path).split(".")[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            found.add(origin)
            found.update(f"{origin}.{alias.name}" for alias in node.names)
    return frozenset(found)


def within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def importers(package: str) -> set[str]:
    """The modules that import a package."""
    return {module_of(path) for path in FILES if any(within(name, (package,)) for name in imports_of(path))}


@pytest.mark.parametrize(("who", "never", "but"), RULES, ids=[f"{rule[0]} not {rule[1][0]}" for rule in RULES])
def test_imports_point_one_way(who: str, never: tuple[str, ...], but: tuple[str, ...]) -> None:
    for path in FILES:
        module = module_of(path)
        if not within(module, (who,)):
            continue
        allowed = (*but, *EXCEPTIONS.get(module, ()))
        forbidden = {name for name in imports_of(path) if within(name, never) and not within(name, allowed)}
        # "from realtime.swap import session" names realtime.swap as well: the package itself is no more than the way
        forbidden = {name for name in forbidden if not any(deeper.startswith(f"{name}.") for deeper in allowed)}
        assert not forbidden, f"{module} imports {', '.join(sorted(forbidden))}"


def test_asyncio_appears_only_where_something_is_waited_for() -> None:
    strangers = {m for m in importers("asyncio") if not within(m, ASYNCIO_MAY) and m not in ASYNCIO_FILES}
    assert not strangers


def test_the_gate_is_known_by_those_alone_that_open_the_door() -> None:
    strangers = {m for m in importers("realtime.egress") if not within(m, EGRESS_MAY) and m not in EGRESS_FILES}
    assert not strangers


def test_a_sinks_write_is_reached_through_the_gate_alone() -> None:
    ours = [path for path in FILES if within(module_of(path), ("realtime",))]
    assert {module_of(path) for path in ours if reaches_sinks(ast.parse(path.read_text("utf-8")))} == set(WRITERS)
    sinks = [sink for path in ours for sink in sinks_of_pipelines(ast.parse(path.read_text("utf-8")))]
    assert sinks
    assert all(sink.removeprefix("self._") == "gate" for sink in sinks), f"a pipeline writes to {', '.join(sinks)}"


def reaches_sinks(tree: ast.AST) -> bool:
    """Whether something names the `write` of what is called a sink, or awaits any `write`, as sinks have it."""
    awaited = {
        node.value.func for node in ast.walk(tree) if isinstance(node, ast.Await) and isinstance(node.value, ast.Call)
    }
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == "write"
        and (node in awaited or "sink" in ast.unparse(node.value))
        for node in ast.walk(tree)
    )


def sinks_of_pipelines(tree: ast.AST) -> list[str]:
    """What each `Pipeline(source, stages, sink, ...)` is given as its sink, as it is written."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    return [
        ast.unparse(call.args[2]) for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Pipeline"
    ]


@pytest.mark.parametrize("package", [package for package in OPTIONAL if package not in OF_WEBRTC])
def test_an_optional_package_is_imported_in_one_file(package: str) -> None:
    users = importers(package)
    assert len(users) <= 1, f"{package} is imported in {', '.join(sorted(users))}"


@pytest.mark.parametrize("package", OF_WEBRTC)
def test_what_speaks_webrtc_is_imported_in_its_folder_alone(package: str) -> None:
    strangers = {module for module in importers(package) if not within(module, WEBRTC_MAY)}
    assert not strangers


def test_the_base_installation_is_enough_to_import_realtime() -> None:
    """Optional packages are imported inside functions, so that their absence is one sentence and no traceback.

    The folder webrtc needs its extra as a whole, so for the others it is such a package itself.
    """
    for path in FILES:
        if within(module_of(path), ("realtime",)) and not within(module_of(path), ("realtime.webrtc",)):
            top = {name for node in ast.parse(path.read_text("utf-8")).body for name in names_imported_by(node)}
            needed = {name for name in top if within(name, (*OPTIONAL, "realtime.webrtc"))}
            assert not needed, f"{module_of(path)} needs an extra to be imported"


def test_benchmarks_that_need_no_torch_do_not_wait_for_it() -> None:
    """Nothing that the command imports as it starts imports torch as it starts."""
    files, waiting, met = {module_of(path): path for path in FILES}, ["bench.__main__"], set[str]()
    while waiting:
        module = waiting.pop()
        met.add(module)
        body = ast.parse(files[module].read_text("utf-8")).body
        names = {name for node in body for name in (*names_imported_by(node), *parts_imported_by(node))}
        assert "torch" not in names, f"{module} imports torch"
        waiting += [name for name in names if name in files and name not in met]


def test_ray_is_known_by_its_folder_alone() -> None:
    assert {module for module in importers("ray") if not within(module, ("deploy.ray",))} == set()


def test_webrtc_is_known_by_the_command_and_the_bench_alone() -> None:
    strangers = {m for m in importers("realtime.webrtc") if not within(m, WEBRTC_MAY) and m != "realtime.__main__"}
    assert not strangers


def names_imported_by(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield node.module or ""


def parts_imported_by(node: ast.stmt) -> Iterator[str]:
    """What may be modules of a package: `from bench import steps` names bench.steps."""
    if isinstance(node, ast.ImportFrom) and not node.level:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_no_module_keeps_state(path: Path) -> None:
    """No list, dict or set at the top of a module unless it is Final and so meant as a table; no `global`."""
    tree = ast.parse(path.read_text("utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Global)]
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and is_mutable(node.value):
            names = [ast.unparse(t) for t in (node.targets if isinstance(node, ast.Assign) else [node.target])]
            declared = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
            assert names == ["__all__"] or declared.startswith("Final[Mapping"), f"{names[0]} can be changed"


def is_mutable(value: ast.expr) -> bool:
    if isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp):
        return True
    return isinstance(value, ast.Call) and ast.unparse(value.func).split(".")[-1] in MUTABLE_CALLS


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_file_says_what_it_is_for(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not text.strip() or ast.get_docstring(ast.parse(text)), f"{module_of(path)} opens without a sentence"


def test_the_rules_would_notice() -> None:
    nodes = ast.parse("state = {}\nlimits = (1, 2)\nseen = list()").body
    assert [is_mutable(node.value) for node in nodes if isinstance(node, ast.Assign)] == [True, False, True]
    assert within("realtime.swap.session", ("realtime.swap",))
    assert not within("realtime.swapping", ("realtime.swap",))


def test_a_way_around_the_gate_would_be_noticed() -> None:
    around = ("await out.write(frame)", "run(self._sink.write, frame)", "sink.write(frame)")
    assert [reaches_sinks(ast.parse(line)) for line in (*around, "file.write(text)")] == [True, True, True, False]
    assert sinks_of_pipelines(ast.parse("Pipeline(camera, [stage], recording)")) == ["recording"]


def test_imports_inside_functions_and_relative_ones_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "realtime").mkdir()
    path = tmp_path / "realtime" / "late.py"
    path.write_text("from . import swap\ndef later():\n    import torch.nn\n    from ..bench.latency import run\n")
    assert {"realtime.swap", "torch.nn", "bench.latency"} <= imports_of(path)
