"""The serving certificate, from files that a Secret is mounted as (kubernetes.io/tls, as cert-manager makes them).

The kubelet replaces such files some time after the Secret changed; they are looked at again at each handshake.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final, NamedTuple

logger = logging.getLogger(__name__)

CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"
AUTHORITY: Final = "ca.crt"


class CertificateError(Exception):
    """There is no usable certificate; the text names the file."""


class Material(NamedTuple):
    """PEM: private key, certificate chain, and those who sign certificates of clients, if there is such a file."""

    key: bytes
    chain: bytes
    authority: bytes | None


class Certificates:
    """Reads a folder, and notices when it has changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[int, ...] = ()

    def read(self) -> Material:
        """What is there now. Raises CertificateError."""
        self._seen = self._stamp()
        try:
            key, chain = (self._folder / KEY).read_bytes(), (self._folder / CERTIFICATE).read_bytes()
            authority = self._folder / AUTHORITY
            signers = authority.read_bytes() if authority.exists() else None
        except OSError as error:
            raise CertificateError(
                f"{error.filename}: {error.strerror}; mount a Secret of type kubernetes.io/tls"
            ) from error
        if b"-----BEGIN" not in key or b"-----BEGIN CERTIFICATE" not in chain:
            raise CertificateError(f"{self._folder}: {KEY} and {CERTIFICATE} are no PEM")
        return Material(key, chain, signers)

    def changed(self) -> Material | None:
        """What is there, if it is not what was read last. What cannot be read is told, and leaves what was."""
        if self._stamp() == self._seen:
            return None
        try:
            return self.read()
        except CertificateError as error:
            logger.warning("going on with the certificate that was: %s", error)
            return None

    def _stamp(self) -> tuple[int, ...]:
        """Differs when a file does: the kubelet links to another folder, so that inodes are others, too."""
        stamp: list[int] = []
        for name in (CERTIFICATE, KEY, AUTHORITY):
            try:
                found = (self._folder / name).stat()
            except OSError:
                stamp += (0, 0)
            else:
                stamp += (found.st_mtime_ns, found.st_ino)
        return tuple(stamp)
