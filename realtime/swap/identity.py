"""Who a face can become: identities, loaded and warm, and the shelf that keeps them ready."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from realtime.errors import ConsentError, ModelError, SettingsError, UnknownIdentity
from realtime.face.geometry import Image
from realtime.pool import Scratch
from realtime.swap import dfm
from realtime.swap.consent import Consent, Grant
from realtime.swap.contract import DRAWING, SELF_RELIANT, Contract, expect
from realtime.swap.envelope import ModelFile
from realtime.swap.running import Runner
from realtime.swap.session import SessionSettings, open_session, provider_of
from realtime.swap.views import Views

logger = logging.getLogger(__name__)

MODELS: Final = Path(__file__).resolve().parent.parent / "models"  # the embedded ones
DIGESTS: Final = "digests.json"  # beside them: names of files, and the SHA-256 that each was released with
# Where in a folder of models the encoder and identities of each size lie; landmarks.onnx serves all sizes.
SIZES: Final[Mapping[str, str]] = MappingProxyType({"live": ".", "small": "small"})
# What onnxruntime raises while a loaded model runs; its exceptions share no base class but Exception.
RUN_ERRORS: Final = (
    ort_errors.DeviceReset,
    ort_errors.EPFail,
    ort_errors.EngineError,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)

Codes = NDArray[np.float32]  # (n, z)
# Makes an identity of its file in another way than Shelf does; the last is the encoder's file.
Opening = Callable[[ModelFile, Contract, Grant, "Encoder", ModelFile], "Identity"]


class Encoder:
    """What all identities share: crops in, codes out."""

    def __init__(self, contract: Contract, session: ort.InferenceSession) -> None:
        expect(contract, "encoder")
        _promised(session, contract, {"crop"}, {"code"})
        self.contract = contract
        self.code_length = int(session.get_outputs()[0].shape[1])
        self.provider = provider_of(session)  # in the words of the settings: cpu, cuda, ...
        self._session = session
        self._runner = Runner()

    def __call__(self, crops: Sequence[Image] | NDArray[np.uint8]) -> Codes:
        """The codes (n, z) of n crops, each (size, size, 3) of the contract's size. Raises ModelError."""
        stacked = crops if isinstance(crops, np.ndarray) else np.stack(crops)
        (code,) = _run(self._runner, self._session, self.contract, {"crop": stacked}, ["code"])
        return code


class Identity:
    """A decoder, loaded and warm: codes in, this person's face and mask out."""

    takes_codes = True

    def __init__(self, contract: Contract, session: ort.InferenceSession, encoder: Encoder, grant: Grant) -> None:
        """grant is what allows its use; the digest in it goes into the marks of what the model draws."""
        self.contract = contract
        self.grant = grant
        self._session = session
        self._runner = Runner()
        self._scratch = Scratch()
        self._check(encoder)

    @property
    def name(self) -> str:
        """The identity's name."""
        return self.contract.identity

    @property
    def digest(self) -> str:
        """Which model it is, in hex."""
        return self.grant.digest

    def draw(self, views: Views, places: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The faces at these places as this person, and their masks, as decode has them. Raises ModelError."""
        return self.decode(views.codes[places])

    def decode(self, codes: Codes) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Faces (n, S, S, 3) BGR 0..1, tone-normalised, and masks (n, S, S) 0..1. Raises ModelError."""
        face, mask = _run(self._runner, self._session, self.contract, {"code": codes}, ["face", "mask"])
        return face, mask

    def _check(self, encoder: Encoder) -> None:
        """Raises ModelError unless the model keeps its promises and fits the encoder."""
        expect(self.contract, "decoder", encoder.contract.encoder)
        _promised(self._session, self.contract, {"code"}, {"face", "mask"})
        length = self._session.get_inputs()[0].shape[1]
        if length != encoder.code_length:
            raise ModelError(
                f"{self.contract.title} expects codes of {length} numbers, the encoder makes {encoder.code_length}"
            )


class WholeIdentity(Identity):
    """An identity with an encoder of its own, as training on footage makes it: crops in, face and mask out."""

    takes_codes = False

    def draw(self, views: Views, places: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The faces at these places as this person, and their masks. Raises ModelError."""
        crops = views.crops(places, self.contract.size, self.contract.coverage, self._scratch)
        face, mask = _run(self._runner, self._session, self.contract, {"crop": crops}, ["face", "mask"])
        return face, mask

    def decode(self, codes: Codes) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Raises ModelError, since its codes are its own."""
        raise ModelError(f"{self.contract.title} draws from pictures, not from codes of the encoder")

    def _check(self, encoder: Encoder) -> None:
        expect(self.contract, "whole")
        _promised(self._session, self.contract, {"crop"}, {"face", "mask"})


class DfmIdentity(Identity):
    """An identity from DeepFaceLab: crops in, this person's face and mask out. It needs no encoder."""

    takes_codes = False

    def draw(self, views: Views, places: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The faces at these places as this person, one at a time, and their masks. Raises ModelError."""
        crops = views.crops(places, self.contract.size, self.contract.coverage, self._scratch)
        feeds = (dfm.feed(crop, self._morph) for crop in crops)
        answers = [_run(self._runner, self._session, self.contract, feed, [*dfm.OUTPUTS]) for feed in feeds]
        faces, masks = zip(*(dfm.drawn(each) for each in answers), strict=True)
        return np.stack(faces), np.stack(masks)

    def decode(self, codes: Codes) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Raises ModelError, since such a model knows no codes."""
        raise ModelError(f"{self.contract.title} draws from pictures, not from codes of the encoder")

    def _check(self, encoder: Encoder) -> None:
        expect(self.contract, "dfm")
        if dfm.crop_size(self._session, self.contract.title) != self.contract.size:
            raise ModelError(
                f"{self.contract.title} takes crops of another size than the {self.contract.size} px it says"
            )
        morph = float(self.contract.training.get("morph", dfm.Wrapping().morph))
        self._morph = morph if dfm.takes_morph(self._session) else None


@dataclass(frozen=True, slots=True)
class Card:
    """What is known about one identity on the shelf."""

    name: str
    kind: str  # rendered or person
    licence: str
    size: int  # pixels of the square face it draws
    precision: str  # fp32, fp16 or int8
    file: str  # where it lies
    file_bytes: int
    training: dict[str, Any]  # the training record
    consent: dict[str, str]  # what swap/card.py knows of it

    def as_dict(self) -> dict[str, Any]:
        """The card as JSON takes it."""
        return asdict(self)


def place_of_size(models: Path, size: str) -> Path:
    """The folder, in a folder of models, of the encoder and identities of a size. Raises SettingsError."""
    if size not in SIZES:
        raise SettingsError(f"size is {size!r}, wanted {' or '.join(SIZES)}")
    return models / SIZES[size]


class Shelf:
    """The encoder and the identities made for it.

    Loading happens in the thread that asks for an identity and leaves those that run alone, so frames never wait
    for it. Any thread may ask.
    """

    def __init__(
        self,
        encoder: Encoder,
        settings: SessionSettings,
        consent: Consent,
        opening: Callable[[ModelFile, Contract, Grant], "Identity"] | None = None,
    ) -> None:
        """opening makes identities in place of what the shelf makes of them."""
        self.encoder = encoder
        self._opening = opening
        self._settings = settings
        self._consent = consent
        self._cards: dict[str, Card] = {}
        self._warm: dict[str, Identity] = {}
        self._refused: dict[str, str] = {}  # why, by name
        self._lock = Lock()

    @classmethod
    def load(
        cls,
        models: Path | Sequence[Path] | None = None,
        settings: SessionSettings | None = None,
        keep: Sequence[str] | None = None,
        consent: Consent | None = None,
        opening: Opening | None = None,
    ) -> Self:
        """The shelf of a folder of .onnx files, or of a list of files; of the embedded models when None.

        Exactly one of the files must be the encoder; landmark models are skipped. keep names the identities to hold
        warm from the start (all when None); others are loaded when they are first asked for. consent decides which
        may be used (None: with the user's own list of revoked ones); those that may not are left out with
        a warning, and refused when they are asked for. opening makes identities in another way than decoders are.
        Raises ModelError, also for a decoder of another encoder, UnknownIdentity and ConsentError for a name in keep.
        """
        settings = settings or SessionSettings()
        began = time.perf_counter()
        found = [(path, *_contracted(path)) for path in model_files(models)]
        encoders = [(file, contract) for _, file, contract in found if contract.role == "encoder"]
        if len(encoders) != 1:
            there = ", ".join(path.name for path, _, _ in found) or "no models"
            raise ModelError(f"{_place(models)} holds {len(encoders)} encoders, wanted one; there are {there}")
        file, contract = encoders[0]
        encoder = Encoder(contract, open_session(file.data, settings, name=file.name))

        def opened(drawing: ModelFile, said: Contract, grant: Grant) -> Identity:
            assert opening is not None
            return opening(drawing, said, grant, encoder, file)

        shelf = cls(encoder, settings, consent or Consent.load(), opened if opening else None)
        for path, each, promised in found:
            if promised.role in DRAWING:
                shelf._offer(path, each, promised, keep is None or promised.identity in keep)
        for name in keep or ():
            shelf[name]
        logger.info("%d identities ready in %.2f s", len(shelf._warm), time.perf_counter() - began)
        return shelf

    @property
    def names(self) -> tuple[str, ...]:
        """The identities there are, in alphabetical order."""
        with self._lock:
            return tuple(sorted(self._cards))

    def cards(self) -> tuple[Card, ...]:
        """What is known about each identity, in alphabetical order."""
        with self._lock:
            return tuple(self._cards[name] for name in sorted(self._cards))

    def __getitem__(self, name: str) -> Identity:
        """The identity of that name, loaded now unless it is warm.

        Raises UnknownIdentity, ModelError, and ConsentError when it may not be used, or not any more.
        """
        with self._lock:
            warm, card, refused = self._warm.get(name), self._cards.get(name), self._refused.get(name)
        if warm is not None:
            self._consent.check(warm.grant, warm.contract.title)
            return warm
        if refused is not None:
            raise ConsentError(refused)
        if card is None:
            raise UnknownIdentity(
                f"there is no identity {name!r}, wanted one of {', '.join(self.names) or 'none at all'}"
            )
        identity = self._loaded(*_contracted(Path(card.file)))
        with self._lock:
            return self._warm.setdefault(name, identity)

    def name_of(self, who: str) -> str:
        """The name for a name, or for an .onnx file, which joins the shelf as add() has it. Raises ModelError."""
        return self.add(Path(who)) if who.endswith(".onnx") else who

    def add(self, path: Path) -> str:
        """Put the identity of an ONNX file on the shelf, warm, in place of one of the same name; the name.

        Raises ModelError when it is none, or one of another encoder, and ConsentError when it may not be used.
        """
        identity = self._loaded(*_contracted(path))
        self._put(path, identity.contract, identity.grant, identity)
        return identity.name

    def _offer(self, path: Path, file: ModelFile, contract: Contract, warm: bool) -> None:
        """Puts an identity on the shelf if it may be used. Raises ModelError for one of another encoder."""
        self._check_fits(contract)
        try:
            grant = self._consent.granted(file, contract)
        except ConsentError as error:
            logger.warning("%s is left out: %s", contract.identity, error)
            with self._lock:
                self._refused[contract.identity] = str(error)
            return
        self._put(path, contract, grant, self._opened(file, contract, grant) if warm else None)

    def _loaded(self, file: ModelFile, contract: Contract) -> Identity:
        began = time.perf_counter()
        self._check_fits(contract)
        identity = self._opened(file, contract, self._consent.granted(file, contract))
        logger.info("identity %s loaded in %.2f s", identity.name, time.perf_counter() - began)
        return identity

    def _check_fits(self, contract: Contract) -> None:
        if contract.role not in SELF_RELIANT:
            expect(contract, "decoder", self.encoder.contract.encoder)

    def _opened(self, file: ModelFile, contract: Contract, grant: Grant) -> Identity:
        if self._opening is not None:
            return self._opening(file, contract, grant)
        if contract.role == "fused":
            raise ModelError(f"{contract.title} draws whole frames, wanted --fused beside it")
        kinds = {"dfm": DfmIdentity, "whole": WholeIdentity}
        kind = kinds.get(contract.role, Identity)
        return kind(contract, open_session(file.data, self._settings, name=file.name), self.encoder, grant)

    def _put(self, path: Path, contract: Contract, grant: Grant, warm: Identity | None) -> None:
        card = Card(
            name=contract.identity,
            kind=contract.kind,
            licence=contract.licence,
            size=contract.size,
            precision=contract.precision,
            file=str(path),
            file_bytes=path.stat().st_size,
            training=contract.training,
            consent=grant.card.record(),
        )
        with self._lock:
            self._cards[card.name] = card
            self._refused.pop(card.name, None)
            self._warm.pop(card.name, None)
            if warm:
                self._warm[card.name] = warm


def _contracted(path: Path) -> tuple[ModelFile, Contract]:
    """A model file and its promises, before it is run. Raises ModelError."""
    file = ModelFile.read(path)
    return file, Contract.from_metadata(file.metadata, path.name)


def model_files(models: Path | Sequence[Path] | None) -> tuple[Path, ...]:
    """The files to look into, in alphabetical order for a folder. Raises ModelError."""
    if models is not None and not isinstance(models, Path):
        return tuple(models)
    folder = models or MODELS
    if not folder.is_dir():
        raise ModelError(f"there is no folder of models {folder}")
    return tuple(path for path in sorted(folder.glob("*.onnx")) if path.name != "landmarks.onnx")


def _place(models: Path | Sequence[Path] | None) -> str:
    return str(models or MODELS) if models is None or isinstance(models, Path) else "the list of models"


def _promised(session: ort.InferenceSession, contract: Contract, inputs: set[str], outputs: set[str]) -> None:
    """Raises ModelError unless the model has these inputs and outputs."""
    seen_in = {entry.name for entry in session.get_inputs()}
    seen_out = {entry.name for entry in session.get_outputs()}
    if seen_in != inputs or not outputs <= seen_out:
        raise ModelError(
            f"{contract.title} turns {', '.join(sorted(seen_in))} into {', '.join(sorted(seen_out))}, "
            f"wanted {', '.join(sorted(inputs))} into {', '.join(sorted(outputs))}"
        )


def _run(
    runner: Runner, session: ort.InferenceSession, contract: Contract, feed: dict[str, NDArray[Any]], outputs: list[str]
) -> list[NDArray[np.float32]]:
    """The model's answers, all of them finite. Raises ModelError."""
    try:
        answers = runner(session, feed, outputs)
    except (*RUN_ERRORS, RuntimeError) as error:  # the latter from a run into given memory
        raise ModelError(
            f"{contract.title} failed: {(str(error).splitlines() or ['no reason given'])[0][:200]}"
        ) from error
    # What is no number is the greatest and the least of all; np.isfinite would make an array of as many answers.
    if not all(math.isfinite(answer.max()) and math.isfinite(answer.min()) for answer in answers):
        raise ModelError(f"{contract.title} answered with values that are no numbers")
    return answers
