"""Where networks can run: each provider runs them in a process of its own, and is compared with plain fp32."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import onnxruntime as ort

from realtime.doctor.finding import NOTE, OK, WRONG, Finding
from realtime.swap.session import ACCELERATORS

TOPIC: Final = "providers"
LONGEST_S: Final = 120.0  # a provider may compile every network on its first run
ALLOWED: Final = 0.05  # difference from fp32; int8 stays near 0.01, a black fp16 picture is near 0.5
ROOT: Final = Path(__file__).resolve().parent.parent.parent


def findings() -> Iterator[Finding]:
    """Asks every provider that onnxruntime offers and liveswap knows."""
    for provider in known(ort.get_available_providers()):
        yield from judged(provider, asked(provider))


def known(offered: Sequence[str]) -> tuple[str, ...]:
    """Of those that onnxruntime offers, in its words, those that --provider takes, in its words.

    TensorRT is offered wherever CUDA is, and would compile every network for minutes: it is left to who asks for it.
    """
    return (*(name for name, title in ACCELERATORS.items() if title in offered and name != "tensorrt"), "cpu")


def asked(provider: str, longest_s: float = LONGEST_S, module: str = "realtime.doctor.probe") -> dict[str, Any] | str:
    """What the probe says about each network on a provider; a text where it says nothing."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    around = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    try:
        ended = subprocess.run(
            [sys.executable, "-m", module, provider], capture_output=True, text=True, timeout=longest_s, env=around
        )
    except subprocess.TimeoutExpired:
        return f"did not come back within {longest_s:g} seconds"
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["no word"])[-1]
        return f"ended with exit code {ended.returncode}: {last[:200]}"
    try:
        said = json.loads(ended.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return f"said nothing that can be read: {ended.stdout[:200]!r}"
    return said if isinstance(said, dict) else f"said {said!r}"


def judged(provider: str, said: Mapping[str, Any] | str) -> Iterator[Finding]:
    """One finding for each network; the CPU has to run them all, since the default run falls back to it."""
    bad, remedy = (
        (WRONG, "install onnxruntime again") if provider == "cpu" else (NOTE, "--provider auto goes without it")
    )
    if isinstance(said, str):
        yield Finding(TOPIC, provider, bad, said, remedy)
        return
    errors = {outcome.get("error", "") for outcome in said.values()}
    if len(said) > 1 and len(errors) == 1 and "" not in errors:
        said = {"every network": {"error": errors.pop()}}
    for network, outcome in said.items():
        name = f"{provider}: {network}"
        if error := outcome.get("error"):
            seen, _, how = error.partition(", wanted ")
            yield Finding(TOPIC, name, bad, seen, f"{how}; until then, {remedy}" if how else remedy, dict(outcome))
            continue
        off = outcome["difference"]
        nodes = sum(outcome["nodes"].values())
        shares = ", ".join(f"{100 * count / nodes:.0f} % on {where}" for where, count in outcome["nodes"].items())
        differs = "answers that are no numbers" if off is None else f"{100 * off:.2f} % from fp32"
        seen = f"{outcome['milliseconds']:.1f} ms, {differs}, {nodes} nodes: {shares}"
        if off is None or off > ALLOWED:
            yield Finding(TOPIC, name, bad, f"{seen}; allowed are {100 * ALLOWED:g} %", remedy, dict(outcome))
        else:
            yield Finding(TOPIC, name, OK, seen, figures=dict(outcome))
