"""Signatures under cards: Ed25519, with a key that each user has and that is made when it is first needed.

cryptography is imported where it is used: what looks at no card starts without it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from realtime.errors import SettingsError
from realtime.places import config_folder, secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FILE: Final = "signing-key.pem"  # in the configuration folder
# The public half of the key that signed the embedded identities; export/release.py did not keep the other one.
RELEASE: Final = "67b913b92a7363677dbd5b157ecd58b13b744c7e61d1503c5a164ca0fcc94979"


class Signer:
    """A key that signs."""

    def __init__(self, key: "Ed25519PrivateKey") -> None:
        self._key = key

    @classmethod
    def own(cls, path: Path | None = None) -> Self:
        """The user's key, from the configuration folder or another file; made there with mode 0600 when missing.

        Raises SettingsError when it cannot be made or read, others can read it, or it is no Ed25519 key.
        """
        place = path or config_folder() / FILE
        return cls(_parsed(secret(place, _fresh), place))

    @classmethod
    def of_seed(cls, seed: bytes) -> Self:
        """The key that belongs to 32 bytes."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public(self) -> str:
        """The public key, 64 hex digits."""
        return self._key.public_key().public_bytes_raw().hex()

    def sign(self, message: bytes) -> str:
        """The signature, 128 hex digits."""
        return self._key.sign(message).hex()


def fits(public: str, signature: str, message: bytes) -> bool:
    """Whether the holder of a public key made this signature under the message; hex that is none fits nothing."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _fresh() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _parsed(pem: bytes, place: Path) -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:  # TypeError: it is encrypted
        raise SettingsError(f"the signing key {place} cannot be read: it is no PEM file without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"the signing key {place} is of another kind, wanted Ed25519")
    return key
