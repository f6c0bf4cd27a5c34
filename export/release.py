"""Makes a release of the embedded models: signs the identities and writes down every file's SHA-256.

Run it as `python -m export.release` after the files have changed. The key that signs is made for this release and
forgotten, so that nobody can sign in its name later; its public half, which is printed, belongs into
realtime/swap/signing.py as RELEASE.
"""

import json
import os
from pathlib import Path

from realtime.swap.contract import DRAWING, PREFIX
from realtime.swap.envelope import ModelFile
from realtime.swap.identity import DIGESTS, MODELS
from realtime.swap.sealing import seal
from realtime.swap.signing import Signer


def release(folder: Path, signer: Signer) -> None:
    """Signs the identities below a folder, and lists the digests of all its models. Raises ModelError."""
    for path in sorted(folder.rglob("*.onnx")):
        if ModelFile.read(path).metadata.get(PREFIX + "role") in DRAWING:
            seal(path, signer)
    (folder / DIGESTS).write_text(json.dumps(digests(folder), indent=2) + "\n", "utf-8")


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each model file below a folder, by its path from there. Raises ModelError."""
    paths = sorted(folder.rglob("*.onnx"))
    return {path.relative_to(folder).as_posix(): ModelFile.read(path).digest() for path in paths}


if __name__ == "__main__":
    signer = Signer.of_seed(os.urandom(32))
    release(MODELS, signer)
    print(f'RELEASE: Final = "{signer.public}"')
