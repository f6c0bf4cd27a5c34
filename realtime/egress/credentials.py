"""Content credentials (C2PA): what a finished file says about itself, signed, and what such a file says when read."""

import importlib.metadata
import io
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Final

from realtime.egress.certificate import Certificate
from realtime.egress.record import Record, Shown
from realtime.errors import SinkError, SourceError
from realtime.places import SECRET

logger = logging.getLogger(__name__)

# What a name ends in, and what C2PA calls it. Other files get no credentials.
KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        ".jpeg": "image/jpeg",
        ".jpg": "image/jpeg",
        ".m4v": "video/mp4",
        ".mov": "video/quicktime",
        ".mp4": "video/mp4",
        ".png": "image/png",
        ".tif": "image/tiff",
        ".tiff": "image/tiff",
        ".webp": "image/webp",
    }
)
COMPOSITE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
RECORD: Final = "liveswap.record"  # our own assertion in the manifest
DONE: Final = "The faces of people in front of the camera were redrawn by a trained model as other identities."
LARGE: Final = 64 * 1024 * 1024  # bytes: from here on a file is hashed in small pieces, so that memory stays bounded
SLOW_BYTES: Final = 200 * 1024 * 1024  # signing this many may take more than a second, so it is announced
_PIECE_KB: Final = 1024
_VOUCHED: Final = "signingCredential.untrusted"  # says no more than that nobody vouches for the signer
_NO_NETWORK: Final = MappingProxyType({"remote_manifest_fetch": False, "ocsp_fetch": False})

Cards = Callable[[str], Mapping[str, Any]]


class Credentials:
    """Signs finished files. It blocks, so it belongs on the worker of the sink that has finished a file."""

    def __init__(self, certificate: Certificate, cards: Cards | None = None) -> None:
        """cards says for an identity's name what its model's card says."""
        self._certificate = certificate
        self._cards = cards or (lambda _: {})

    def __call__(self, path: Path, record: Record) -> None:
        """Puts the record into the file, or says in the log why the file stays as it is.

        One without room for it stays as it is, too: realtime.egress.door has said so before the first frame.
        """
        if path.suffix.lower() not in KINDS:
            return
        try:
            self.add(path, record)
        except SinkError as error:
            logger.error("%s", error)

    def add(self, path: Path, record: Record) -> None:
        """Puts the record into the file: written beside it, examined, then put in its place.

        Raises SinkError; the file is then as it was.
        """
        began, path = time.perf_counter(), path.resolve()
        aside = path.with_name(f".{path.name}.credentials")
        try:
            size = path.stat().st_size
            if size > SLOW_BYTES:
                logger.warning("adding content credentials to %s (%d MB): this takes a moment", path, size // 2**20)
            self._sign(path, aside, record)
            seen = read(aside, KINDS[path.suffix.lower()])
            if seen is None or seen.faults:
                raise SinkError("; ".join(seen.faults) if seen else "nothing was written")
            shutil.copymode(path, aside)
            aside.replace(path)
        except Exception as error:  # the library's errors share no base class but this one with those of its streams
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise SinkError(f"{path} has no content credentials, it could not be signed: {why}") from error
        finally:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
        logger.info("%s has content credentials, added in %.2f s", path, time.perf_counter() - began)

    def signed(self, picture: bytes, name: str, record: Record) -> bytes:
        """A file of this name, with the record in it. Raises SinkError."""
        target = io.BytesIO()
        try:
            self._into(io.BytesIO(picture), target, Path(name), record, False)
        except Exception as error:  # as in add()
            raise SinkError(f"{name} could not be signed: {error}") from error
        return target.getvalue()

    def _sign(self, path: Path, aside: Path, record: Record) -> None:
        in_pieces = path.stat().st_size > LARGE and has_one_body(path)
        with path.open("rb") as source, _fresh(aside) as target:
            self._into(source, target, path, record, in_pieces)

    def _into(self, source: BinaryIO, target: BinaryIO, path: Path, record: Record, in_pieces: bool) -> None:
        import c2pa

        said, certificate = manifest(record, path, self._cards), self._certificate
        info = c2pa.C2paSignerInfo(certificate.algorithm, certificate.chain.encode(), certificate.key.encode(), None)
        with (
            c2pa.Context.from_dict(_settings(in_pieces)) as context,
            c2pa.Signer.from_info(info) as signer,
            c2pa.Builder(said, context=context) as builder,
        ):
            builder.sign(signer, KINDS[path.suffix.lower()], source, target)


def manifest(record: Record, path: Path, cards: Cards) -> dict[str, Any]:
    """What the file says about itself, as c2pa takes it."""
    agent = {"name": "liveswap", "version": importlib.metadata.version("liveswap")}
    made = {"digitalSourceType": COMPOSITE, "softwareAgent": agent}
    edited = {**made, "action": "c2pa.edited", "parameters": {"description": DONE}}
    shown = [{"identity": one.identity, "model": one.model, "card": dict(cards(one.identity))} for one in record.shown]
    own = {
        "session": record.session,
        "began": record.began.isoformat(timespec="seconds"),
        "shown": shown,
        "label": not record.disclosure,
        "disclosure": record.disclosure,
    }
    return {
        "claim_generator_info": [agent],
        "title": path.name,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [{**made, "action": "c2pa.created"}, edited]}},
            {"label": RECORD, "data": own, "kind": "Json"},
        ],
    }


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file says about itself, and whether that holds."""

    faults: tuple[str, ...]  # what does not fit, in words; empty where everything does
    generator: str  # the program that wrote it
    signer: str  # who signed, in the words of the certificate
    trusted: bool  # whether somebody known vouches for the signer; nobody does for a self-made certificate
    composite: bool  # whether it says that trained models took part in the picture
    session: str = ""  # hex: the id that the marks in the picture begin with; empty where it is not ours
    shown: tuple[Shown, ...] = ()
    disclosure: str = ""


def read(path: Path, kind: str | None = None) -> Manifest | None:
    """The manifest in a file; None where there is none. kind is its media type, where the name does not say it.

    It blocks, and asks nobody: a manifest that lies elsewhere is not fetched. Raises SourceError where the file cannot
    be read at all.
    """
    import c2pa

    kind = kind or KINDS.get(path.suffix.lower())
    if kind is None:
        return None
    try:
        with (
            path.open("rb") as file,
            c2pa.Context.from_dict(_settings(False)) as context,
            c2pa.Reader(kind, file, context=context) as reader,
        ):
            return _manifest(json.loads(reader.json()))
    except (AttributeError, KeyError, TypeError, ValueError):
        return Manifest(("the manifest says nothing that can be understood",), "", "", False, False)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    except c2pa.C2paError.ManifestNotFound:
        return None
    except c2pa.C2paError as error:
        return Manifest((f"the manifest cannot be read: {error}",), "", "", False, False)


def _fresh(path: Path) -> BinaryIO:
    """A new file for its owner alone, in place of one that a killed program left; a link is not followed."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), SECRET), "w+b")


def has_one_body(path: Path) -> bool:
    """Whether an MP4 has its pictures in one piece, as one that was completed; fragments are several."""
    with path.open("rb") as file:
        return sum(name == b"mdat" for name in _boxes(file, path.stat().st_size)) == 1


def _boxes(file: BinaryIO, size: int) -> list[bytes]:
    """The names of an MP4's outermost parts, up to the first that makes no sense."""
    at, names = 0, []
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        length = int.from_bytes(head[8:16], "big") if length == 1 else length or size - at
        names.append(head[4:8])
        if length < 8:
            break
        at += length
    return names


def _settings(in_pieces: bool) -> dict[str, Any]:
    core = {"backing_store_memory_threshold_in_mb": 16}
    if in_pieces:
        core["merkle_tree_chunk_size_in_kb"] = _PIECE_KB
    return {"core": core, "verify": dict(_NO_NETWORK), "builder": {"thumbnail": {"enabled": False}}}


def _manifest(said: Mapping[str, Any]) -> Manifest:
    active = said["manifests"][said["active_manifest"]]
    statuses = said.get("validation_status") or []
    faults = [f"{one.get('explanation') or one['code']}" for one in statuses if one["code"] != _VOUCHED]
    assertions = {one["label"]: one["data"] for one in active.get("assertions", [])}
    actions = assertions.get("c2pa.actions.v2", {}).get("actions", [])
    generator, signer = (active.get("claim_generator_info") or [{}])[0], active.get("signature_info") or {}
    return Manifest(
        tuple(dict.fromkeys(faults)),
        " ".join(str(generator[key]) for key in ("name", "version") if key in generator),
        str(signer.get("issuer") or signer.get("common_name") or ""),
        said.get("validation_state") == "Trusted",
        any(action.get("digitalSourceType") == COMPOSITE for action in actions),
        **_ours(assertions.get(RECORD)),
    )


def _ours(own: Any) -> dict[str, Any]:
    """What our own assertion says; nothing where it is none of ours."""
    try:
        shown = tuple(Shown(str(one["identity"]), str(one["model"])) for one in own["shown"])
        return {"session": bytes.fromhex(own["session"]).hex(), "shown": shown, "disclosure": str(own["disclosure"])}
    except (TypeError, KeyError, ValueError):
        return {}
