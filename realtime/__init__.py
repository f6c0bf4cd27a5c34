"""liveswap as a library: `from realtime import Swapper`. Names are loaded when they are first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realtime.egress.gate import Gate as Gate
    from realtime.egress.library import Swapper as Swapper
    from realtime.errors import LiveswapError as LiveswapError
    from realtime.face.face import Face as Face
    from realtime.face.track import Tracker as Tracker
    from realtime.flow.pipeline import Pipeline as Pipeline
    from realtime.flow.pipeline import Stage as Stage
    from realtime.frame import Frame as Frame
    from realtime.swap.compose import Composer as Composer
    from realtime.swap.compose import Swapped as Swapped
    from realtime.swap.compose import compose as compose
    from realtime.swap.fallback import Fallback as Fallback
    from realtime.swap.identity import Shelf as Shelf
    from realtime.swap.session import SessionSettings as SessionSettings

# Where each name lives. Loading on demand keeps `import realtime.face.geometry`, as training does it, free of the rest.
_HOMES = (
    ("realtime.egress.gate", ("Gate",)),
    ("realtime.egress.library", ("Swapper",)),
    ("realtime.errors", ("LiveswapError",)),
    ("realtime.face.face", ("Face",)),
    ("realtime.face.track", ("Tracker",)),
    ("realtime.flow.pipeline", ("Pipeline", "Stage")),
    ("realtime.frame", ("Frame",)),
    ("realtime.swap.compose", ("Composer", "Swapped", "compose")),
    ("realtime.swap.fallback", ("Fallback",)),
    ("realtime.swap.identity", ("Shelf",)),
    ("realtime.swap.session", ("SessionSettings",)),
)

__all__ = [
    "Composer", "Face", "Fallback", "Frame", "Gate", "LiveswapError", "Pipeline", "SessionSettings", "Shelf", "Stage",
    "Swapped", "Swapper", "Tracker", "compose",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """The public name, from the module where it lives."""
    for home, names in _HOMES:
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'realtime' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
