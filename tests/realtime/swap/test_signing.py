"""Keys are made once, kept secret, and sign."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from realtime.errors import SettingsError
from realtime.places import config_folder
from realtime.swap.signing import FILE, Signer, fits

SEED = b"s" * 32


def test_a_signature_fits_its_message_and_key_alone() -> None:
    signer, other = Signer.of_seed(SEED), Signer.of_seed(b"o" * 32)
    signature = signer.sign(b"said")
    assert fits(signer.public, signature, b"said")
    assert not fits(signer.public, signature, b"sad")
    assert not fits(other.public, signature, b"said")


@pytest.mark.parametrize(("public", "signature"), [("", ""), ("zz", "00"), ("00" * 32, "00" * 64), ("0" * 64, "xyz")])
def test_what_is_no_key_or_signature_fits_nothing(public: str, signature: str) -> None:
    assert not fits(public, signature, b"said")


def test_the_users_key_is_made_on_first_use_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    first = Signer.own()
    assert Signer.own().public == first.public
    assert stat.S_IMODE((config_folder() / FILE).stat().st_mode) == 0o600


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for content, sentence in ((pem, "is of another kind, wanted Ed25519"), (b"no key", "cannot be read")):
        path = tmp_path / "key.pem"
        path.unlink(missing_ok=True)
        path.touch(0o600)
        path.write_bytes(content)
        with pytest.raises(SettingsError, match=sentence):
            Signer.own(path)
