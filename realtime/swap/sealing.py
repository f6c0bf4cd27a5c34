"""Puts cards into model files on disk and signs them, each file whole or not at all."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from realtime.errors import ConsentError, ModelError
from realtime.swap.card import ModelCard
from realtime.swap.consent import signed
from realtime.swap.contract import DRAWING, Contract
from realtime.swap.envelope import ModelFile
from realtime.swap.signing import Signer


def seal(path: Path, signer: Signer, card: ModelCard | None = None) -> ModelCard:
    """Signs the identity in a file, with this card or else the one that it has; a rendered one needs none.

    The card that it has now. Raises ModelError when the file is no identity, or cannot be read or written, and
    ConsentError when the card is of somebody else.
    """
    file = ModelFile.read(path)
    contract = Contract.from_metadata(file.metadata, path.name)
    if contract.role not in DRAWING:
        raise ModelError(f"{path.name} holds {contract.title}, which shows nobody and needs no card")
    card = card or _own_card(contract, path.name)
    replace_file(path, signed(file, contract, card, signer))
    return card.signed_by(signer.public)


def replace_file(path: Path, content: bytes) -> None:
    """Writes a file whole, in place of one that may be there. Raises ModelError."""
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(name).chmod(mode)
            Path(name).replace(path)
        except OSError:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise ModelError(
            f"the model file {path} cannot be written: {(error.strerror or str(error)).lower()}"
        ) from error


def _own_card(contract: Contract, name: str) -> ModelCard:
    if contract.consent:
        return ModelCard.of_record(contract.consent, name)
    if contract.kind != "rendered":
        raise ConsentError(f"{name} shows a person and carries no card, wanted --card with one")
    return ModelCard(name=contract.identity, kind=contract.kind)
