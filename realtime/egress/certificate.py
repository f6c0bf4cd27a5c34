"""The key and the certificates that content credentials are signed with: made on first use, or the user's own."""

import datetime
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from realtime.errors import SettingsError
from realtime.places import config_folder, secret

NAME: Final = "credentials.pem"  # in the configuration folder
MAKER: Final = "liveswap (self-made certificate)"
YEARS: Final = 10  # that a self-made certificate lasts
_LEAST_RSA: Final = 2048  # bits
_CURVES: Final = (("secp256r1", "es256"), ("secp384r1", "es384"), ("secp521r1", "es512"))
_KEY: Final = re.compile(rb"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?-----END \1PRIVATE KEY-----", re.DOTALL)

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Certificate:
    """A private key, and the certificates that say whose it is."""

    algorithm: str  # as C2PA calls it: es256, es384, es512, ps256, ed25519
    chain: str  # PEM: the key's own certificate, then those above it
    key: str = field(repr=False)  # PEM, PKCS 8

    @classmethod
    def of_user(cls) -> Self:
        """The user's, made where there is none yet. Raises SettingsError."""
        path = config_folder() / NAME
        return cls.parse(secret(path, made), str(path))

    @classmethod
    def read(cls, path: Path) -> Self:
        """The one in a PEM file with the key and its certificates. Raises SettingsError."""
        try:
            return cls.parse(path.read_bytes(), str(path))
        except OSError as error:
            raise SettingsError(f"the certificate {path} cannot be read: {(error.strerror or '').lower()}") from error

    @classmethod
    def parse(cls, data: bytes, where: str) -> Self:
        """The one in these bytes; where says in messages where they came from. Raises SettingsError."""
        key = _key(data, where)
        own, others = _own_first(_certificates(data, where), key, where)
        _check_use(own, where)
        pem = serialization.Encoding.PEM
        return cls(
            _algorithm(key, where),
            "".join(each.public_bytes(pem).decode() for each in (own, *others)),
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode(),
        )


def made() -> bytes:
    """A new key with a certificate, and that of an authority made for it alone, whose key nobody keeps; PEM."""
    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    above, own = _named("authority"), _named("signer")
    chain = _signed(own, above, leaf, root, False), _signed(above, above, root, root, True)
    pem = serialization.Encoding.PEM
    key = leaf.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key + b"".join(each.public_bytes(pem) for each in chain)


def _named(role: str) -> x509.Name:
    names = ((NameOID.ORGANIZATION_NAME, MAKER), (NameOID.COMMON_NAME, f"liveswap {role}"))
    return x509.Name([x509.NameAttribute(kind, name) for kind, name in names])


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    of: ec.EllipticCurvePrivateKey,
    by: ec.EllipticCurvePrivateKey,
    authority: bool,
) -> x509.Certificate:
    """A certificate as the C2PA specification has it."""
    now = datetime.datetime.now(datetime.UTC)
    usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    usage |= {"encipher_only": False, "decipher_only": False, "crl_sign": authority, "key_cert_sign": authority}
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(of.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=not authority, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(of.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    )
    if not authority:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(by, hashes.SHA256())


def _key(data: bytes, where: str) -> Key:
    found = _KEY.search(data)
    if found is None:
        raise SettingsError(f"{where} holds no private key in PEM, wanted one with its certificates")
    try:
        key = serialization.load_pem_private_key(found[0], None)
    except TypeError:
        raise SettingsError(f"the private key in {where} is locked with a password, wanted one without") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"the private key in {where} cannot be read") from error
    if not isinstance(key, Key):
        raise SettingsError(f"the private key in {where} is of a kind that signs no credentials, wanted EC P-256")
    return key


def _certificates(data: bytes, where: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise SettingsError(f"{where} holds no certificate in PEM, wanted the key's own and those above it") from error


def _own_first(chain: list[x509.Certificate], key: Key, where: str) -> tuple[x509.Certificate, list[x509.Certificate]]:
    own = [each for each in chain if each.public_key() == key.public_key()]
    if not own:
        raise SettingsError(f"none of the {len(chain)} certificates in {where} belongs to its private key")
    return own[0], [each for each in chain if each != own[0]]


def _check_use(own: x509.Certificate, where: str) -> None:
    now = datetime.datetime.now(datetime.UTC)
    if not own.not_valid_before_utc <= now <= own.not_valid_after_utc:
        days = f"{own.not_valid_before_utc:%Y-%m-%d} to {own.not_valid_after_utc:%Y-%m-%d}"
        raise SettingsError(f"the certificate in {where} is valid from {days}, and today is {now:%Y-%m-%d}")
    try:
        signs = own.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
        has_purpose = bool(own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        signs = has_purpose = False
    if not signs or not has_purpose:
        raise SettingsError(
            f"the certificate in {where} is not made for signing content, wanted the key usage digitalSignature "
            "and an extended one such as emailProtection"
        )


def _algorithm(key: Key, where: str) -> str:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < _LEAST_RSA:
            raise SettingsError(f"the RSA key in {where} has {key.key_size} bits, wanted at least {_LEAST_RSA}")
        return "ps256"
    for curve, algorithm in _CURVES:
        if key.curve.name == curve:
            return algorithm
    raise SettingsError(f"the key in {where} is of the curve {key.curve.name}, wanted P-256, P-384 or P-521")
