"""Writes realtime/models/digests.json: the embedded identities, for which this project vouches by their files' SHA-256.

Run it as `python -m export.digests` after the files have changed. The loader takes what is listed for signed where
the identity is rendered.
"""

import json
from pathlib import Path

from realtime.swap.consent import VOUCHED
from realtime.swap.contract import DRAWING, PREFIX
from realtime.swap.envelope import ModelFile
from realtime.swap.identity import MODELS


def digests(folder: Path = MODELS) -> dict[str, str]:
    """The SHA-256 of each identity's file below a folder, by its path from there. Raises ModelError."""
    files = {path.relative_to(folder).as_posix(): ModelFile.read(path) for path in sorted(folder.rglob("*.onnx"))}
    return {place: file.digest() for place, file in files.items() if file.metadata.get(PREFIX + "role") in DRAWING}


if __name__ == "__main__":
    VOUCHED.write_text(json.dumps(digests(), indent=2) + "\n", "utf-8")
