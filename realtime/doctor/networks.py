"""The embedded model files: all there, each as it was released, and fitting each other."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from realtime.doctor.finding import NOTE, OK, WRONG, Finding
from realtime.errors import LiveswapError
from realtime.face.detect import CENTERFACE
from realtime.swap.identity import DIGESTS, MODELS, SIZES, Shelf, place_of_size
from realtime.swap.session import SessionSettings

TOPIC: Final = "models"
REMEDY: Final = "install liveswap again: these are not the files that it was released with"
_SHOWN: Final = 8  # characters of a digest


def findings() -> Iterator[Finding]:
    """Looks at the embedded ones."""
    yield files(MODELS)
    for size in SIZES:
        yield shelf(size, MODELS)


def files(folder: Path) -> Finding:
    """Every file's own digest, compared with those that the folder was released with, where it says so."""
    found = {path.relative_to(folder).as_posix(): digest(path) for path in sorted(folder.rglob("*.onnx"))}
    needed = ["landmarks.onnx", CENTERFACE.relative_to(MODELS).as_posix()]
    if missing := [name for name in needed if name not in found]:
        return Finding(TOPIC, "files", WRONG, f"{', '.join(missing)} missing", REMEDY, {"sha256": found})
    try:
        released = wanted(folder / DIGESTS)
    except (OSError, ValueError) as error:
        return Finding(TOPIC, "files", WRONG, f"{DIGESTS} cannot be read: {error}", REMEDY, {"sha256": found})
    if released is None:
        seen = f"{len(found)} files, SHA-256 of all together {digest_of(found)[:_SHOWN]}; nothing to compare them with"
        return Finding(TOPIC, "files", OK, seen, figures={"sha256": found})
    other = sorted(name for name in released if found.get(name) != released[name])
    if other:
        return Finding(TOPIC, "files", WRONG, f"not as released: {', '.join(other)}", REMEDY, {"sha256": found})
    seen = f"{len(found)} files; those with a released digest ({len(released)}) are as released"
    return Finding(TOPIC, "files", OK, seen, figures={"sha256": found})


def shelf(size: str, folder: Path) -> Finding:
    """Whether the encoder and the identities of a size load, and belong together."""
    bad = WRONG if size == "live" else NOTE
    try:
        cards = Shelf.load(place_of_size(folder, size), SessionSettings(provider="cpu"), keep=()).cards()
    except LiveswapError as error:
        return Finding(TOPIC, f"size {size}", bad, str(error), REMEDY)
    names = ", ".join(card.name for card in cards)
    if not cards:
        return Finding(TOPIC, f"size {size}", bad, "no identity", REMEDY)
    return Finding(TOPIC, f"size {size}", OK, f"{names}: {cards[0].size} px, {cards[0].precision}")


def wanted(digests: Path) -> Mapping[str, str] | None:
    """The digests that a folder was released with, by file; None where it does not say. Raises OSError, ValueError."""
    if not digests.is_file():
        return None
    said: Any = json.loads(digests.read_text("utf-8"))
    if not isinstance(said, dict) or not all(isinstance(value, str) for value in said.values()):
        raise ValueError("wanted an object of names and digests")
    return {name: value.lower().removeprefix("sha256:") for name, value in said.items()}


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(found: Mapping[str, str]) -> str:
    """One SHA-256 of several files' digests, in hex."""
    return hashlib.sha256("\n".join(f"{name} {found[name]}" for name in sorted(found)).encode()).hexdigest()
