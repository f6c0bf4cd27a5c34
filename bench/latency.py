"""How fast and how fresh: a clip at camera speed through the real pipeline into nothing."""

import asyncio
from dataclasses import replace
from typing import Any

import cv2

from bench.report import summary
from realtime import report
from realtime.carrying import Group, Models, carry, stages
from realtime.flow.meters import Meters
from realtime.settings import Settings


def measure(settings: Settings, runs: int) -> dict[str, Any]:
    """The summary of so many runs, and the report of each. Raises LiveswapError."""
    models = Models.load(settings)
    reports = [once(settings, models) for _ in range(runs)]
    return {"summary": summary(reports), "reports": reports}


def once(settings: Settings, models: Models, group: Group = stages) -> dict[str, Any]:
    """The report of one run at camera speed into nothing; KeyboardInterrupt where somebody ended it early.

    The same models may run again: a tracker forgets when a clip starts over.
    """
    cv2.setNumThreads(settings.threads)
    meters = Meters()
    live = replace(settings, live=True, sink=("null",), preview=False, session_log=False)
    if asyncio.run(carry(live, models, meters, group=group)):
        raise KeyboardInterrupt
    return report.report(meters, models.identity, models.shelf.encoder.provider, models.precision)
