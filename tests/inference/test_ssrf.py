"""A table of ways to make ``image_url`` reach where it must not, against real sockets: no leak; and the good one works.

The network of these tests: whatever address is connected to, a canary on loopback answers with an image, over TLS
and with a certificate that is trusted. So nothing but the fetcher's own rules stands between an attack and a leak. A
leak is a connection to an address that is not public, or an image for an attack.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from inference.errors import RequestError
from inference.fetch import Fetcher, is_global
from tests.inference.test_fetch import HOST, PICTURE, Server, answer, certificate

__all__ = ["certificate"]  # a fixture

PUBLIC = "93.184.215.14"
IMAGE = answer()


@dataclass(frozen=True)
class Attack:
    """``addresses``: what the name resolves to, at each look-up one more; ``reply``: what the host answers."""

    name: str
    url: str = f"https://{HOST}/a.png"
    addresses: tuple[tuple[str, ...], ...] = ((PUBLIC,),)
    reply: Callable[[ssl.SSLSocket], None] = IMAGE
    listed: tuple[str, ...] = (HOST,)


def to(name: str, *addresses: str) -> Attack:
    return Attack(name, addresses=(addresses,))


def url(name: str, url: str, *listed: str) -> Attack:
    return Attack(name, url, listed=(HOST, *listed))


def drip(stream: ssl.SSLSocket) -> None:
    stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 900\r\n\r\n")
    for _ in range(400):
        stream.sendall(b"x")
        time.sleep(0.01)


ATTACKS = [
    # What the name resolves to.
    to("loopback", "127.0.0.1"),
    to("all of loopback", "127.255.255.254"),
    to("this host", "0.0.0.0"),  # noqa: S104
    to("private 10", "10.0.0.5"),
    to("private 172", "172.31.0.5"),
    to("private 192", "192.168.0.5"),
    to("metadata of the instance", "169.254.169.254"),
    to("credentials of the container", "169.254.170.2"),
    to("shared address space", "100.100.100.200"),
    to("platform services on a public address", "168.63.129.16"),
    to("multicast", "224.0.0.251"),
    to("reserved", "240.0.0.1"),
    to("broadcast", "255.255.255.255"),
    to("IPv6 loopback", "::1"),
    to("IPv6 unspecified", "::"),
    to("IPv6 unique local", "fd00:ec2::254"),
    to("IPv6 link-local", "fe80::1"),
    to("IPv6 link-local with a scope", "fe80::1%lo"),
    to("IPv4 mapped", "::ffff:169.254.169.254"),
    to("IPv4 compatible", "::169.254.169.254"),
    to("NAT64", "64:ff9b::a9fe:a9fe"),
    to("6to4", "2002:a9fe:a9fe::1"),
    to("Teredo", "2001:0:a9fe:a9fe::1"),
    to("a private address behind a public one", PUBLIC, "10.0.0.5"),
    # What the URL says.
    url("decimal number", "https://2130706433/"),
    url("decimal number, listed", "https://2130706433/", "2130706433"),
    url("octal numbers", "https://0177.0.0.1/", "0177.0.0.1"),
    url("hexadecimal number", "https://0x7f000001/", "0x7f000001"),
    url("short form", "https://127.1/", "127.1"),
    url("literal address, listed", "https://169.254.169.254/", "169.254.169.254"),
    url("literal IPv6, listed", "https://[::1]/", "::1"),
    url("full-width digits", "https://\uff11\uff12\uff17.0.0.1/"),
    url("userinfo", f"https://{HOST}@169.254.169.254/"),
    url("userinfo and backslash", f"https://169.254.169.254\\@{HOST}/"),
    url("fragment", f"https://169.254.169.254#@{HOST}/"),
    url("another port", f"https://{HOST}:22/"),
    url("plain http", f"http://{HOST}/a.png"),
    url("file", "file:///etc/passwd"),
    url("gopher", f"gopher://{HOST}/_GET"),
    url("data", "data:image/png;base64,aaaa"),
    url("a host below a listed one", f"https://evil.{HOST}/"),
    url("a host that begins like a listed one", f"https://{HOST}.evil.example/"),
    url("a trailing dot", f"https://{HOST}./"),
    url("a line end in the path", f"https://{HOST}/\r\nHost:%20evil.example"),
    # What the host answers.
    Attack("redirect to metadata", reply=answer(status="302 Found", headers="Location: http://169.254.169.254/\r\n")),
    Attack("redirect within the host", reply=answer(status="301 Moved", headers=f"Location: https://{HOST}/b\r\n")),
    Attack("too large", reply=answer(b"x" * 5000)),
    Attack("too large, and says less", reply=lambda stream: stream.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n" + b"x" * 5000)),
    Attack("slow", reply=drip),
    Attack("no image", reply=answer(media_type="application/json")),
]  # fmt: skip


class Network:
    """Every connection ends at the canary; what was asked for is kept."""

    def __init__(self, canary: Server) -> None:
        self.canary = canary
        self.asked: list[tuple[str, int]] = []
        self._connect = socket.create_connection

    def connect(self, address: tuple[str, int], *arguments: Any, **named: Any) -> socket.socket:
        self.asked.append(address)
        return self._connect(("127.0.0.1", self.canary.port), *arguments, **named)


@pytest.fixture
def network(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    canary = Server(certificate)
    found = Network(canary)
    monkeypatch.setattr("inference.fetch.socket.create_connection", found.connect)
    yield found
    canary.close()


def fetch(network: Network, attack: Attack) -> list[bytes]:
    look_ups = list(attack.addresses)
    network.canary.reply = attack.reply

    def resolver(host: str) -> list[str]:
        if host != HOST:  # a literal address, or a form of one: what the system makes of it
            return [str(item[4][0]) for item in socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)]
        return list(look_ups.pop(0) if len(look_ups) > 1 else look_ups[0])

    fetcher = Fetcher(
        attack.listed,
        max_bytes=1000,
        deadline=1.0,
        resolver=resolver,
        context=ssl.create_default_context(cafile=network.canary.certificate),
    )
    return fetcher.fetch([attack.url])


def test_the_table_is_long_enough() -> None:
    assert len(ATTACKS) >= 29 and len({attack.name for attack in ATTACKS}) == len(ATTACKS)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_no_leak(network: Network, attack: Attack) -> None:
    started = time.monotonic()
    with pytest.raises(RequestError) as caught:
        fetch(network, attack)
    assert caught.value.code in ("image_url_refused", "image_url_failed")
    assert all(is_global(address) and port == 443 for address, port in network.asked)
    assert len(network.asked) <= 1  # no redirect was followed
    assert time.monotonic() - started < 20


def test_the_good_control_works(network: Network) -> None:
    assert fetch(network, Attack("control")) == [PICTURE]
    assert network.asked == [(PUBLIC, 443)]


def test_a_name_that_changes_its_address_is_connected_to_where_it_was_checked(network: Network) -> None:
    rebinding = Attack("DNS rebinding", addresses=((PUBLIC,), ("127.0.0.1",)))
    assert fetch(network, rebinding) == [PICTURE]
    assert network.asked == [(PUBLIC, 443)]


def test_the_canary_would_have_answered(network: Network) -> None:
    """The test's own control: without the rule for addresses, an attack succeeds."""
    network.canary.reply = answer()
    context = ssl.create_default_context(cafile=network.canary.certificate)
    naive = Fetcher(
        (HOST,),
        max_bytes=1000,
        resolver=lambda host: ["169.254.169.254"],
        allowed=lambda address: True,
        context=context,
    )
    assert naive.fetch([f"https://{HOST}/"]) == [PICTURE]
    assert network.asked == [("169.254.169.254", 443)]
