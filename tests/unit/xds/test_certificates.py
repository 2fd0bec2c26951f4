"""The serving certificate: read, read again when it changed, and never lost by a bad one."""

from __future__ import annotations

from pathlib import Path

import pytest

from grpcbalance.xds.certificates import AUTHORITY, CERTIFICATE, KEY, CertificateError, Certificates, Material

CHAIN, SECRET = b"-----BEGIN CERTIFICATE-----\n1\n", b"-----BEGIN PRIVATE KEY-----\n1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As the kubelet mounts a Secret: links by way of a folder that is replaced as a whole."""
    write(tmp_path, "first", CHAIN)
    for name in (CERTIFICATE, KEY, AUTHORITY):
        (tmp_path / name).symlink_to(Path("..data") / name)
    return tmp_path


def write(folder: Path, version: str, chain: bytes, authority: bytes | None = None) -> None:
    made = folder / version
    made.mkdir()
    (made / CERTIFICATE).write_bytes(chain)
    (made / KEY).write_bytes(SECRET)
    if authority is not None:
        (made / AUTHORITY).write_bytes(authority)
    link = folder / "..new"
    link.symlink_to(version)
    link.replace(folder / "..data")


def test_what_is_there_is_read(folder: Path) -> None:
    assert Certificates(folder).read() == Material(SECRET, CHAIN, None)
    write(folder, "second", CHAIN, b"signers")
    assert Certificates(folder).read() == Material(SECRET, CHAIN, b"signers")


def test_a_change_is_noticed_once(folder: Path) -> None:
    certificates = Certificates(folder)
    certificates.read()
    assert certificates.changed() is None
    write(folder, "second", CHAIN + b"2")
    assert certificates.changed() == Material(SECRET, CHAIN + b"2", None)
    assert certificates.changed() is None


def test_a_bad_one_is_told_and_leaves_what_was(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificates = Certificates(folder)
    certificates.read()
    write(folder, "bad", b"oops")
    assert certificates.changed() is None
    assert "going on with the certificate that was" in caplog.text
    caplog.clear()
    assert certificates.changed() is None
    assert caplog.text == ""
    write(folder, "good", CHAIN + b"3")
    assert certificates.changed() == Material(SECRET, CHAIN + b"3", None)


@pytest.mark.parametrize("name", [CERTIFICATE, KEY])
def test_a_file_that_is_missing_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CertificateError, match=rf"{name}: No such file or directory; mount a Secret"):
        Certificates(folder).read()


def test_what_is_no_pem_is_refused(folder: Path) -> None:
    write(folder, "bad", b"oops")
    with pytest.raises(CertificateError, match=r"are no PEM"):
        Certificates(folder).read()
