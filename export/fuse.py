"""An identity and its encoder as one file that goes from frame to frame, with the identity's contract and card."""

from pathlib import Path

from realtime.errors import ModelError, SettingsError
from realtime.swap.consent import Consent, signed
from realtime.swap.contract import Contract
from realtime.swap.envelope import ModelFile
from realtime.swap.fused.model import contract_of, fused
from realtime.swap.identity import MODELS, SIZES
from realtime.swap.sealing import replace_file
from realtime.swap.signing import Signer


def fuse_identity(who: str, out: Path, encoder: Path | None = None, consent: Consent | None = None) -> Contract:
    """Writes an identity, an embedded one by its name or one in a file, fused to out; its contract.

    encoder is the one that it was made for (None: the embedded one). The card goes along, signed with the user's key,
    and the new file names the ones that it was fused of, so that revoking them revokes it. Raises ModelError, also
    for an identity that may not be used, SettingsError and MissingExtra.
    """
    if out.suffix != ".onnx":
        raise SettingsError(f"--out is {out}, wanted the name of a file that ends in .onnx")
    drawing = ModelFile.read(Path(who) if who.endswith(".onnx") else MODELS / f"{who}.onnx")
    contract = Contract.from_metadata(drawing.metadata, drawing.name)
    grant = (consent or Consent.load()).granted(drawing, contract)
    reading = _encoder_for(contract, encoder)
    made = fused(drawing, reading)
    said = contract_of(drawing, reading)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{out} cannot be written: {error.strerror}") from error
    replace_file(out, signed(ModelFile.of(made, out.name), said, grant.card, Signer.own()))
    return said


def _encoder_for(contract: Contract, given: Path | None) -> ModelFile | None:
    """The encoder that an identity needs; None for one that needs none. Raises ModelError."""
    if contract.role != "decoder":
        return None
    if given is not None:
        return ModelFile.read(given)
    for folder in SIZES.values():
        file = ModelFile.read(MODELS / folder / "encoder.onnx")
        if Contract.from_metadata(file.metadata, file.name).encoder == contract.encoder:
            return file
    raise ModelError(f"{contract.title} expects encoder {contract.encoder[:4]}, wanted --encoder with its file")
