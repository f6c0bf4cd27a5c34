"""The key that signs content credentials: made once, kept for its owner alone, or brought along."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from realtime.egress.certificate import NAME, Certificate, Key, made
from realtime.errors import SettingsError
from realtime.places import config_folder

TODAY = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
PEM = serialization.Encoding.PEM


def pem(key: Key | dsa.DSAPrivateKey, password: bytes = b"") -> bytes:
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, how)


def chain(key: Key, until: datetime.datetime = TODAY + DAY, signs: bool = True, purpose: bool = True) -> bytes:
    """A certificate for the key by an authority, and that authority's, as somebody's own may be."""
    root = ec.generate_private_key(ec.SECP256R1())
    names = [x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)]) for name in ("Ann's studio", "CA of Ann")]
    usages = ["content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    usages += ["encipher_only", "decipher_only"]
    found = []
    for subject, public, authority in ((names[0], key.public_key(), False), (names[1], root.public_key(), True)):
        usage = x509.KeyUsage(
            digital_signature=signs and not authority,
            key_cert_sign=authority,
            crl_sign=authority,
            **dict.fromkeys(usages, False),
        )
        builder = (
            x509.CertificateBuilder(names[1], subject, public, x509.random_serial_number(), until - 9 * DAY, until)
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), critical=False)
        )
        if purpose and not authority:
            usage_of = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(usage_of, critical=False)
        found.append(builder.sign(root, hashes.SHA256()).public_bytes(PEM))
    return b"".join(reversed(found))  # in an order that nobody asked for


def test_it_is_made_once_and_read_by_its_owner_alone() -> None:
    first = Certificate.of_user()
    assert Certificate.of_user() == first
    assert (config_folder() / NAME).stat().st_mode & 0o777 == 0o600
    assert first.algorithm == "es256"
    assert first.chain.count("BEGIN CERTIFICATE") == 2


def test_one_that_others_can_read_is_refused() -> None:
    Certificate.of_user()
    (config_folder() / NAME).chmod(0o644)
    try:
        with pytest.raises(SettingsError, match="mode 0644, wanted 0600"):
            Certificate.of_user()
    finally:
        (config_folder() / NAME).chmod(0o600)


def test_two_users_have_two_keys_and_no_name_in_them() -> None:
    assert Certificate.parse(made(), "one").key != Certificate.parse(made(), "other").key
    (own, _) = x509.load_pem_x509_certificates(made())
    assert own.subject.rfc4514_string() == "CN=liveswap signer,O=liveswap (self-made certificate)"


def test_the_key_is_not_printed() -> None:
    assert "PRIVATE" not in repr(Certificate.parse(made(), "one"))


KEYS: Final[Mapping[str, Key]] = {
    "es256": ec.generate_private_key(ec.SECP256R1()),
    "es384": ec.generate_private_key(ec.SECP384R1()),
    "es512": ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "ps256": rsa.generate_private_key(65537, 2048),
}


@pytest.mark.parametrize("algorithm", KEYS)
def test_an_own_certificate_of_every_usual_kind_is_read(algorithm: str, tmp_path: Path) -> None:
    path = tmp_path / "own.pem"
    path.write_bytes(chain(KEYS[algorithm]) + pem(KEYS[algorithm]))
    read = Certificate.read(path)
    assert read.algorithm == algorithm
    first, _ = x509.load_pem_x509_certificates(read.chain.encode())
    assert first.public_key() == KEYS[algorithm].public_key()


EC = KEYS["es256"]
WRONG = {
    "nothing": (b"", "holds no private key in PEM"),
    "noise": (bytes(range(256)) * 9, "holds no private key in PEM"),
    "no key": (chain(EC), "holds no private key in PEM"),
    "no certificate": (pem(EC), "holds no certificate in PEM"),
    "another's key": (chain(EC) + pem(KEYS["es384"]), "none of the 2 certificates in own.pem belongs to its private"),
    "a locked key": (chain(EC) + pem(EC, b"secret"), "locked with a password, wanted one without"),
    "a broken key": (chain(EC) + pem(EC).replace(b"M", b"N", 1), "the private key in own.pem cannot be read"),
    "broken certificates": (pem(EC) + chain(EC).replace(b"MI", b"NI", 1), "holds no certificate in PEM"),
    "over": (chain(EC, TODAY - DAY) + pem(EC), f"and today is {TODAY:%Y-%m-%d}"),
    "not yet": (chain(EC, TODAY + 30 * DAY) + pem(EC), "is valid from"),
    "not for signing": (chain(EC, signs=False) + pem(EC), "not made for signing content"),
    "for nothing": (chain(EC, purpose=False) + pem(EC), "not made for signing content"),
    "DSA": (chain(EC) + pem(dsa.generate_private_key(1024)), "signs no credentials, wanted EC P-256"),
    "another curve": (
        chain(ec.derive_private_key(9, ec.SECP256K1())) + pem(ec.derive_private_key(9, ec.SECP256K1())),
        "curve secp256k1, wanted P-256",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_certificate_that_is_none_is_one_sentence(what: str) -> None:
    data, sentence = WRONG[what]
    with pytest.raises(SettingsError) as raised:
        Certificate.parse(data, "own.pem")
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_short_rsa_key_is_refused() -> None:
    key = rsa.generate_private_key(65537, 1024)
    with pytest.raises(SettingsError, match="has 1024 bits, wanted at least 2048"):
        Certificate.parse(chain(key) + pem(key), "own.pem")


def test_an_absent_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"own\.pem cannot be read: no such file"):
        Certificate.read(tmp_path / "own.pem")
