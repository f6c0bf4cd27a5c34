"""The visitor's end in a process of its own: offers, takes the answer, watches, and says what it saw as JSON lines."""

import asyncio
import json
import sys
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final

from bench.apart import heard
from bench.glass_camera import Film
from bench.glass_numbers import Arrival, Run
from bench.glass_peers import FarEnd, Visitor
from realtime.errors import LiveswapError

LONGEST_LINE: Final = 64 << 20  # bytes: half an hour of arrivals
ENDING_S: Final = 10.0  # for a visitor that has said everything


async def meet(far_end: FarEnd, clip: Path, seconds: float) -> Run:
    """What a visitor of that far end sees for so many seconds after it settled. Raises LiveswapError."""
    words = ("-m", "bench.glass_visitor", str(clip), str(seconds))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdin=pipe, stdout=pipe, limit=LONGEST_LINE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        offer = await heard(process.stdout)
        answer = await far_end.answer(offer["offer"])
        process.stdin.write(json.dumps({"answer": answer}).encode() + b"\n")
        seen = await heard(process.stdout)
        async with asyncio.timeout(ENDING_S):
            await process.wait()
        return Run(tuple(Arrival(*one) for one in seen["arrivals"]), tuple(seen["unread"]))
    finally:
        await far_end.close()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def visit(clip: Path, seconds: float) -> None:
    """The visitor's side of meet(), on standard input and output."""
    async with Visitor(Film.load(clip)) as visitor:
        _say({"offer": await visitor.offer()})
        heard = await asyncio.to_thread(sys.stdin.readline)
        await visitor.accept(json.loads(heard)["answer"])
        run = await visitor.watch(seconds)
    _say({"arrivals": [astuple(one) for one in run.arrivals], "unread": run.unread})


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    """The process: a clip and seconds."""
    clip, seconds = sys.argv[1:]
    try:
        with suppress(KeyboardInterrupt):  # whoever started us hears it too, and says so
            asyncio.run(visit(Path(clip), float(seconds)))
    except LiveswapError as error:
        _say({"error": str(error)})


if __name__ == "__main__":
    main()
