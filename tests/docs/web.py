"""The host ``images.example.com`` of the pages, and a serving container that can reach it.

Run as a program it is the serving container's own: only how a name is resolved, which addresses count as public, whose
certificates are trusted and on which port hosts listen are the test's.
"""

from __future__ import annotations

import datetime
import functools
import http.server
import os
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HOST = "images.example.com"
PORT_VARIABLE, CERTIFICATE_VARIABLE = "PAGES_WEB_PORT", "PAGES_WEB_CERTIFICATE"


@dataclass(frozen=True)
class Web:
    """A running host: its port on loopback, and the certificate that vouches for its name."""

    port: int
    certificate: Path

    @property
    def environment(self) -> dict[str, str]:
        return {PORT_VARIABLE: str(self.port), CERTIFICATE_VARIABLE: str(self.certificate)}


@contextmanager
def serve(images: Path, folder: Path) -> Iterator[Web]:
    """Serve the files of ``images`` by https as ``images.example.com``."""
    certificate, key = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    handler = functools.partial(_Quiet, directory=str(images))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Web(server.server_address[1], certificate)
        finally:
            server.shutdown()
            thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


def _certificate(folder: Path) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "web.pem", folder / "web.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, secret


def main() -> int:
    """The serving container, with a Fetcher that finds the test's host."""
    from inference import handler, server
    from inference.fetch import Fetcher

    handler.Fetcher = functools.partial(  # type: ignore[assignment,misc]
        Fetcher,
        resolver=lambda host: ["127.0.0.1"],
        allowed=lambda address: True,
        context=ssl.create_default_context(cafile=os.environ[CERTIFICATE_VARIABLE]),
        port=int(os.environ[PORT_VARIABLE]),
    )
    return server.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
