"""A training in the terminal: how far it is, how fast, what it loses, and how like the held-out faces become."""

import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from training.loop import Moment

EVERY_S: Final = 0.25  # seconds between two pictures of the display
BAR: Final = 40  # characters


class Display:
    """Draws the newest moment into a living part at the end of the terminal."""

    def __init__(self, living: Live) -> None:
        self._living, self._drawn_at = living, 0.0
        self._tested_at: int | None = None

    def step(self, moment: Moment) -> None:
        """Draws it, where the last drawing is old enough or there will be no other."""
        now = time.perf_counter()
        if moment.tested:
            self._tested_at = moment.step
        if moment.first or moment.last or now - self._drawn_at >= EVERY_S:
            self._drawn_at = now
            self._living.update(drawn(moment, self._tested_at), refresh=True)

    def picture(self, step: int, picture: NDArray[np.uint8]) -> None:
        """Pictures are looked at elsewhere."""


@contextmanager
def displayed(console: Console) -> Iterator[Display]:
    """A display within `with`; what is logged or printed meanwhile goes above it. The last drawing stays."""
    handlers = [one for one in logging.getLogger().handlers if isinstance(one, logging.StreamHandler)]
    before = [(one, one.stream) for one in handlers if one.stream is sys.stderr]
    with Live(console=console, auto_refresh=False) as living:
        for handler, _ in before:
            handler.setStream(sys.stderr)  # which is rich's by now
        try:
            yield Display(living)
        finally:
            for handler, stream in before:
                handler.setStream(stream)


def drawn(moment: Moment, tested_at: int | None) -> RenderableType:
    """A bar of what is done, and lines for speed, losses and the held-out faces as they were at step tested_at."""
    whole = moment.seconds + moment.left
    left = Text("done") if moment.last else Text(f"{clock(moment.left)} left" if moment.step else "starting")
    parts = [Text(f"step {moment.step:,}", style="bold"), Text(f"{moment.speed:.2f} it/s"), Text(clock(moment.seconds))]
    loss = sum(moment.losses.values())
    losses = [Text(f"loss {loss:.4f}", style="bold"), Text(_named(moment.losses, 4))] if moment.losses else []
    held_out = [
        Text.assemble((name, "bold"), f" SSIM {scores['ssim']:.3f}", f"  PSNR {scores['psnr']:.1f} dB")
        for name, scores in by_person(moment.numbers).items()
    ]
    lines = [Text(" · ").join([*parts, left]), Text("   ").join(losses), Text("   ").join(held_out)]
    if held_out and tested_at is not None:
        lines[-1].append(f"   held out, at step {tested_at:,}", style="dim")
    done = moment.seconds / max(whole, 1e-9)
    bar = Table.grid(padding=(0, 1))
    bar.add_row(ProgressBar(total=1.0, completed=done, width=BAR), f"{100 * done:.0f} %")
    return Group(bar, *(text for text in lines if text.plain))


def by_person(numbers: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """{"ann_psnr": ..., "ann_ssim": ...} as {"ann": {"psnr": ..., "ssim": ...}}; who lacks one is left out."""
    names = [name.removesuffix("_ssim") for name in numbers if name.endswith("_ssim")]
    return {
        name: {score: numbers[f"{name}_{score}"] for score in ("psnr", "ssim")}
        for name in names
        if f"{name}_psnr" in numbers
    }


def clock(seconds: float) -> str:
    """1:05 or 2:03:09."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _named(values: Mapping[str, float], digits: int) -> str:
    return "  ".join(f"{name} {value:.{digits}f}" for name, value in values.items())
