"""The whole examination: every topic in its order, none of which can end the others."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from realtime.doctor import cameras, codecs, graphics, memory, networks, packages, processor, providers
from realtime.doctor.finding import NOTE, WRONG, Finding

Topic = tuple[str, Callable[[], Iterable[Finding]]]

TOPICS: Final[tuple[Topic, ...]] = (
    (packages.TOPIC, packages.findings),
    (processor.TOPIC, processor.findings),
    (memory.TOPIC, memory.findings),
    (graphics.TOPIC, graphics.findings),
    (providers.TOPIC, providers.findings),
    (networks.TOPIC, networks.findings),
    (cameras.TOPIC, cameras.findings),
    (codecs.TOPIC, codecs.findings),
)


def checkup(topics: Sequence[Topic] = TOPICS) -> Iterator[Finding]:
    """What is found, as it is found. A look that fails is a finding too."""
    for name, look in topics:
        try:
            yield from look()
        except Exception as error:  # the machine may be broken in ways that nobody has thought of
            yield Finding(name, name, WRONG, f"cannot be examined: {error!r}", "please report this")


def works(findings: Iterable[Finding]) -> bool:
    """Whether the default run would work."""
    return all(found.state != WRONG for found in findings)


def verdict(findings: Sequence[Finding]) -> str:
    """The outcome in one sentence."""
    wrong = [found for found in findings if found.state == WRONG]
    notes = sum(found.state == NOTE for found in findings)
    besides = f"; {notes} more could be better" if notes else ""
    if not wrong:
        return f"`liveswap run` would work here{besides}."
    names = ", ".join(dict.fromkeys(found.name for found in wrong))
    return f"`liveswap run` would not work here: {names}{besides}."


def as_dict(findings: Sequence[Finding]) -> dict[str, Any]:
    """As JSON takes it."""
    return {"works": works(findings), "verdict": verdict(findings), "findings": [found.as_dict() for found in findings]}
