"""Benchmarks in processes of their own: what they say line by line, and at their end."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from realtime.errors import LiveswapError, SourceLost


async def heard(lines: asyncio.StreamReader) -> dict[str, Any]:
    """The next thing that visitors say. Raises SourceLost where they ended before, or say what went wrong."""
    line = await lines.readline()
    if not line:
        raise SourceLost("the visitors ended before they had said what they saw")
    said: dict[str, Any] = json.loads(line)
    if "error" in said:
        raise SourceLost(said["error"])
    return said


def told(what: str, program: str, *words: str, seconds: float, around: Mapping[str, str] | None = None) -> Any:
    """What a program of Python says on its last line, as JSON; around is its environment, None for this process's own.

    Raises LiveswapError, which calls it what, where it fails or takes longer than so many seconds.
    """
    command = (sys.executable, "-c", program, *words)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, env=around, stdin=subprocess.DEVNULL, check=False
        )
    except subprocess.TimeoutExpired:
        raise LiveswapError(f"{what} took more than {seconds:g} s") from None
    if done.returncode:
        raise LiveswapError(f"{what} failed: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])
