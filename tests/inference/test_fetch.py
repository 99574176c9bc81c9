"""Fetching images of URLs: what is refused before a connection, and what a real TLS server on loopback may answer."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from inference.errors import RequestError
from inference.fetch import Fetcher, is_global

HOST = "images.example"
PICTURE = b"\x89PNG picture"


# --- before any connection --------------------------------------------------------------------------------------------


def refusing(hosts: tuple[str, ...] = (HOST,), addresses: tuple[str, ...] = ("93.184.215.14",)) -> Fetcher:
    """A fetcher that must not come as far as connecting."""

    def resolver(host: str) -> list[str]:
        return list(addresses)

    return Fetcher(hosts, max_bytes=1000, deadline=0.5, resolver=resolver)


@pytest.mark.parametrize(
    "url",
    [
        f"http://{HOST}/a.png",
        f"ftp://{HOST}/a.png",
        "file:///etc/passwd",
        f"//{HOST}/a.png",
        HOST,
        "",
        "https:///a.png",
        "https://other.example/a.png",
        f"https://{HOST}.other.example/a.png",
        f"https://other.example/{HOST}",
        f"https://{HOST}./a.png",
        f"https://user@{HOST}/a.png",
        f"https://{HOST}@other.example/a.png",
        f"https://other.example#@{HOST}/",
        f"https://other.example\\@{HOST}/",
        f"https://{HOST}:8443/a.png",
        f"https://{HOST}:80/a.png",
        f"https://{HOST}:port/a.png",
        "https://169.254.169.254/latest/meta-data/",
        "https://2852039166/",
        "https://0x7f000001/",
        "https://127.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://localhost/",
        f"https://{HOST}/a b",
        f"https://{HOST}/a\r\nHost: other.example",
        f"https://{HOST}/a\tb",
        f"ht\ntps://{HOST}/",
        f"https://{HOST}\u3002other.example/",
        "https://ⓘmages.example/",
        f"https://{HOST}/{'a' * 2100}",
    ],
)
def test_a_url_that_is_not_allowed_is_refused(url: str) -> None:
    with pytest.raises(RequestError) as caught:
        refusing().fetch([url])
    assert caught.value.code == "image_url_refused"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "100.127.255.255", "168.63.129.16", "192.0.0.1", "192.88.99.1", "198.18.0.1", "203.0.113.5", "224.0.0.1",
        "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:93.184.215.14",
        "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "64:ff9b::a9fe:a9fe",
        "64:ff9b::808:808",
        "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001::1", "2001:db8::1", "100::1", "localhost", "",
    ],
)  # fmt: skip
def test_an_address_that_is_not_on_the_public_internet_is_refused(address: str) -> None:
    assert not is_global(address)
    with pytest.raises(RequestError) as caught:
        refusing(addresses=("93.184.215.14", address)).fetch([f"https://{HOST}/a.png"])
    assert caught.value.code == "image_url_refused"


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "2a00:1450::1"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_global(address)


def test_a_listed_literal_address_does_not_help() -> None:
    with pytest.raises(RequestError) as caught:
        Fetcher(("127.0.0.1",), max_bytes=10).fetch(["https://127.0.0.1/"])
    assert caught.value.code == "image_url_refused"


def test_one_refused_url_means_that_none_is_fetched() -> None:
    asked: list[str] = []

    def resolver(host: str) -> list[str]:
        asked.append(host)
        return ["93.184.215.14"]

    with pytest.raises(RequestError):
        Fetcher((HOST,), max_bytes=10, resolver=resolver).fetch([f"https://{HOST}/a", "https://other.example/"])
    assert asked == []


def test_a_resolver_that_hangs_or_fails_is_a_failure_in_time() -> None:
    release = threading.Event()

    def hanging(host: str) -> list[str]:
        release.wait(30)
        return []

    def failing(host: str) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    try:
        for resolver, says in ((hanging, "not resolved within 0.2 s"), (failing, "has no address")):
            with pytest.raises(RequestError, match=says) as caught:
                Fetcher((HOST,), max_bytes=10, deadline=0.2, resolver=resolver).fetch([f"https://{HOST}/"])
            assert caught.value.code == "image_url_failed"
    finally:
        release.set()


# --- a real server ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for ``HOST``, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


class Server:
    """Answers each TLS connection on loopback with ``reply(connection)``; keeps the requests and the SNI names."""

    def __init__(self, certificate: Path) -> None:
        self.certificate = certificate
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self.context.sni_callback = lambda stream, name, context: self.names.append(name)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.names: list[str] = []
        self.requests: list[bytes] = []
        self.reply: Callable[[ssl.SSLSocket], None] = lambda stream: None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            try:
                with plain, self.context.wrap_socket(plain, server_side=True) as stream:
                    data = b""
                    while b"\r\n\r\n" not in data and (part := stream.recv(4096)):
                        data += part
                    self.requests.append(data)
                    self.reply(stream)
                    stream.unwrap()
            except OSError:
                pass

    def fetcher(self, *, max_bytes: int = 1000, deadline: float = 10.0) -> Fetcher:
        return Fetcher(
            (HOST,),
            max_bytes=max_bytes,
            deadline=deadline,
            resolver=lambda host: ["127.0.0.1"],
            allowed=lambda address: address == "127.0.0.1",
            context=ssl.create_default_context(cafile=self.certificate),
            port=self.port,
        )

    def url(self, path: str = "/a.png?x=1") -> str:
        return f"https://{HOST}:{self.port}{path}"

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def server(certificate: Path) -> Iterator[Server]:
    running = Server(certificate)
    yield running
    running.close()


def answer(
    body: bytes = PICTURE,
    *,
    status: str = "200 OK",
    headers: str = "",
    media_type: str = "image/png",
    length: int | None = None,
) -> Callable[[ssl.SSLSocket], None]:
    size = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {size}\r\n{headers}\r\n"
    return lambda stream: stream.sendall(head.encode() + body)


def test_an_image_is_fetched_with_the_name_in_sni_and_host(server: Server) -> None:
    server.reply = answer()
    assert server.fetcher().fetch([server.url(), server.url("")]) == [PICTURE, PICTURE]
    assert server.names == [HOST, HOST]
    first, second = (request.decode().split("\r\n") for request in server.requests)
    assert first[0] == "GET /a.png?x=1 HTTP/1.1" and second[0] == "GET / HTTP/1.1"
    assert f"Host: {HOST}" in first and "Accept: image/*" in first
    assert not any(line.lower().startswith(("cookie", "authorization")) for line in first)


def test_a_chunked_image_is_fetched(server: Server) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
    server.reply = lambda stream: stream.sendall(head + b"4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\n")
    assert server.fetcher().fetch([server.url()]) == [b"abcdefg"]


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (answer(status="302 Found", headers="Location: https://127.0.0.1/\r\n"), "redirects are not followed"),
        (answer(status="404 Not Found"), "answered 404"),
        (answer(status="500 Oops"), "answered 500"),
        (answer(media_type="text/html"), "no image"),
        (answer(headers="Content-Encoding: gzip\r\n"), "content coding"),
        (answer(b"x" * 1001), "answered 1001 bytes; at most 1000"),
        (answer(b"short", length=500), "closed the connection|answered 5 of 500 bytes"),
        (lambda stream: stream.sendall(b"hello\r\n\r\n"), "answered no HTTP"),
        (lambda stream: None, "closed the connection"),
        (
            lambda stream: stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n" + b"x" * 1001),
            "more than the 1000 bytes",
        ),
        (lambda stream: stream.sendall(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000), "answered no HTTP"),
    ],
)
def test_what_is_no_image_in_time_is_a_failure(
    server: Server, reply: Callable[[ssl.SSLSocket], None], says: str
) -> None:
    server.reply = reply
    with pytest.raises(RequestError, match=says) as caught:
        server.fetcher().fetch([server.url("/a.png?signature=secret")])
    assert caught.value.code == "image_url_failed"
    assert "secret" not in caught.value.message and "/a.png" not in caught.value.message


def test_the_limit_of_bytes_counts_for_all_urls_together(server: Server) -> None:
    server.reply = answer(b"x" * 600)
    assert len(server.fetcher(max_bytes=1200).fetch([server.url()] * 2)) == 2
    with pytest.raises(RequestError, match="600 bytes; at most 400"):
        server.fetcher(max_bytes=1000).fetch([server.url()] * 2)


def test_a_sender_that_drips_is_cut_at_the_deadline(server: Server) -> None:
    stop = threading.Event()

    def drip(stream: ssl.SSLSocket) -> None:
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 900\r\n\r\n")
        while not stop.wait(0.02):
            stream.sendall(b"x")

    server.reply = drip
    started = time.monotonic()
    try:
        with pytest.raises(RequestError, match=r"did not answer within 0\.3 s"):
            server.fetcher(deadline=0.3).fetch([server.url()])
    finally:
        stop.set()
    assert time.monotonic() - started < 10


def test_a_certificate_of_another_name_is_refused(server: Server) -> None:
    server.reply = answer()
    fetcher = server.fetcher()
    fetcher._context = ssl.create_default_context()  # trusts the system's authorities, not this certificate
    with pytest.raises(RequestError, match="failed in TLS"):
        fetcher.fetch([server.url()])
    assert server.requests == []


def test_nobody_listening_is_a_failure(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    fetcher = Fetcher(
        (HOST,), max_bytes=10, resolver=lambda host: ["127.0.0.1"], allowed=lambda address: True, port=port
    )
    with pytest.raises(RequestError, match="closed the connection") as caught:
        fetcher.fetch([f"https://{HOST}:{port}/"])
    assert caught.value.code == "image_url_failed"
