"""What one run of the marks' benchmark says, as it stands in docs/benchmarks.md and docs/marks.md."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Self

from bench.sessions_numbers import between, put
from realtime.errors import LiveswapError, SinkError

MARKS: Final = "marks"  # the marks in both pages
_COLUMNS: Final = ("way", "found", "read", "coded bits right", "strength, median", "weakest", "seconds")


@dataclass(frozen=True, slots=True)
class Pages:
    """The two pages of a folder of docs."""

    folder: Path
    benchmarks: str
    marks: str

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Raises LiveswapError where one is missing, or has no place for the numbers."""
        try:
            texts = [(folder / name).read_text("utf-8") for name in ("benchmarks.md", "marks.md")]
        except OSError as error:
            raise LiveswapError(f"{error.filename} cannot be read: {(error.strerror or str(error)).lower()}") from error
        for text in texts:
            between(text, MARKS)
        return cls(folder, *texts)

    def measured(self, numbers: dict[str, Any], plot: Path | None) -> "Pages":
        """With these numbers, and the plot where it lies in the same folder."""
        whole = [f"One run, {date.today().isoformat()}.", table(numbers), few(numbers), without(numbers)]
        if plot is not None and plot.resolve().parent == self.folder.resolve():
            words = "The share of unmarked stretches that reach a strength, with its fit, and the strengths on each way"
            whole.append(f"![{words}]({plot.name})")
        whole.append(changes(numbers))
        short = [few(numbers), without(numbers), changes(numbers)]
        return Pages(
            self.folder,
            put(self.benchmarks, MARKS, "\n\n".join(whole)),
            put(self.marks, MARKS, "\n\n".join(short)),
        )

    def write(self) -> None:
        """Into the folder. Raises SinkError."""
        try:
            (self.folder / "benchmarks.md").write_text(self.benchmarks, "utf-8")
            (self.folder / "marks.md").write_text(self.marks, "utf-8")
        except OSError as error:
            raise SinkError(f"{error.filename} cannot be written: {(error.strerror or str(error)).lower()}") from error


def table(numbers: dict[str, Any]) -> str:
    """Every way; those that the mark is made for are bold."""
    rows = [_COLUMNS, ("---", *["---:"] * (len(_COLUMNS) - 1))]
    for one in numbers["ways"]:
        of = one["stretches"]
        rows.append(
            (
                f"**{one['way']}**" if one["target"] else one["way"],
                f"{one['found']} of {of}",
                f"{one['read']} of {of}",
                f"{one['coded_bits_right_percent']:.1f} %",
                f"{one['median_strength']:.0f}",
                f"{one['weakest']:.0f}",
                "–" if one["seconds"] is None else f"{one['seconds']:g}",
            )
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def few(numbers: dict[str, Any]) -> str:
    """Whether what was wanted is reached, and which ways are not always found or read."""
    ways = numbers["ways"]
    targets = [one for one in ways if one["target"]]
    others = [one for one in ways if not one["target"]]
    reached = all(one["found"] >= 0.99 * one["stretches"] for one in targets)
    weakest = min(targets, key=lambda one: float(one["weakest"]))
    said = [
        f"The wanted 99 % for VP8 at 0.5 Mbit/s, H.264 at CRF 30, half size, a cut to 80 % and mirroring are "
        f"{'reached' if reached else 'not reached'}: found are "
        + _listed([f"{one['found']} of {one['stretches']} ({one['way']})" for one in targets])
        + f". The weakest of these stretches ({weakest['way']}) is at {weakest['weakest']:.0f}, "
        f"where {numbers['unmarked']['threshold']:.0f} are needed.",
    ]
    some = [one for one in others if one["found"] < one["stretches"]]
    if some:
        found = [f"{one['way']} ({one['found']} of {one['stretches']}, read {one['read']})" for one in some]
        said.append(f"Of the others, not every stretch is found after {_listed(found)}.")
    unread = [one for one in ways if one["read"] < one["found"] == one["stretches"]]
    if unread:
        found = [f"{one['way']} (read {one['read']} of {one['stretches']})" for one in unread]
        said.append(f"Always found, but not always read: {_listed(found)}.")
    misread = sum(one["misread"] for one in ways)
    said.append(f"Misread, of all ways: {misread or 'none'}.")
    return " ".join(said)


def without(numbers: dict[str, Any]) -> str:
    """What was found where there was nothing, of what that was made, and the law that it follows."""
    null = numbers["unmarked"]
    rendered, real = null["rendered_s"], null["footage_s"] - null["rendered_s"]
    looks, effective = (null[name] / 1e6 for name in ("looks", "effective_looks"))
    beyond = null["stretches"] * -math.expm1(-null["effective_looks"] * math.exp(-null["strongest"]))
    return (
        f"**Without a mark**: {null['different']:,} different stretches of 5 s, no two of them the same to the bit. "
        f"They come from little footage, {null['footage_s']:.1f} s ({rendered:.1f} s rendered, {real:.1f} s of real "
        f"people): {null['takes']:,} takes, each drawn by chance, of {null['stretches_of_a_take']} stretches "
        f"{null['apart_s']:.2f} s apart. A take begins anywhere in its film and goes there and back, 0.7 to 1.4 times "
        "as quick, cut to 50 to 100 % of each side, mirrored or not, in other light, at 240 to 360 lines; a third "
        "of them went through VP8 at 0.5 Mbit/s, H.264 at CRF 30 or MJPEG of quality 60. So neighbours share most of "
        "their pictures, and all of them the same few people and rooms. "
        f"Called marked: {null['false_alarms'] or 'none'}. With our own key the strongest reached "
        f"{null['strongest']:.1f} of {null['threshold']:.1f}, and {null['strongest_with_other_keys']:.1f} in another "
        f"{null['with_other_keys']:,} readings, one of each take, with random keys. They follow "
        f"1 - (1 - exp(-s))^n with n = {effective:.2f} million of the {looks:.2f} million looks, at most "
        f"{null['deviation']:.3f} away (Kolmogorov-Smirnov; {null['deviation_with_other_keys']:.3f} with those), and "
        f"by that law the threshold is exceeded by chance {null['rate_at_threshold']:.1e} times, and the strongest of "
        f"them by {beyond:.2f} of as many independent readings."
    )


def changes(numbers: dict[str, Any]) -> str:
    """How little is seen of the mark."""
    return (
        f"**How little it changes**: PSNR {numbers['psnr_db']:.1f} dB (wanted 44), SSIM {numbers['ssim']:.4f} (wanted "
        f".995), the mean of the {len(numbers['films'])} films."
    )


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
