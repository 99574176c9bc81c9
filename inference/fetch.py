"""Fetching ``{"image_url": …}``: off unless hosts are listed, and then only what cannot reach into a private network.

The rules (OWASP, "Server-Side Request Forgery Prevention"): https on port 443 only; only hosts that are listed, by
exact name; the name is resolved once, and every address of the answer must be global; the connection goes to the
address that was checked, with the name in SNI and Host; no redirect is followed; only ``image/*`` in identity coding;
one limit of bytes and one deadline for all URLs of a request. Messages name the host and nothing else of the URL, which
may hold a signature.
"""

from __future__ import annotations

import http.client
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from inference.errors import RequestError

#: Seconds for all URLs of one request: name look-up, connections, bodies.
DEADLINE_SECONDS = 10.0
MAX_URL_CHARACTERS = 2048
PORT = 443

_CHUNK = 65_536
_HEADERS = {"Accept": "image/*", "Accept-Encoding": "identity", "Connection": "close", "User-Agent": "cv-factory"}
_BLOCKED = tuple(
    ipaddress.ip_network(block)
    for block in (
        "100.64.0.0/10",  # shared address space (RFC 6598)
        "168.63.129.16/32",  # a cloud's platform services, on a public address
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        "::/96",  # IPv4-compatible (RFC 4291)
        "::ffff:0:0/96",  # IPv4-mapped
        "64:ff9b::/96",  # NAT64 (RFC 6052)
        "64:ff9b:1::/48",  # NAT64 for local use (RFC 8215)
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "fec0::/10",  # site-local (deprecated, RFC 3879)
    )
)


def is_global(address: str) -> bool:
    """Whether ``address`` is one on the public Internet, and no form that hides another address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # a scope id, or no address
        return False
    if not parsed.is_global or parsed.is_multicast or parsed.is_reserved or parsed.is_unspecified:
        return False
    return not any(parsed.version == block.version and parsed in block for block in _BLOCKED)


def resolve(host: str) -> list[str]:
    """Every address that the system's resolver answers for ``host``."""
    found = socket.getaddrinfo(host, PORT, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(item[4][0]) for item in found))


class Fetcher:
    """Fetches images from a list of hosts.

    Args:
        hosts: names that may be fetched from, compared exactly, in lower case.
        max_bytes: for all URLs of one request together, as if their images had been sent.
        deadline: seconds for all URLs of one request.
        resolver, allowed, context, port: how names are resolved, which addresses may be connected to, what TLS trusts,
            where servers listen; the defaults are the rules above.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        max_bytes: int,
        deadline: float = DEADLINE_SECONDS,
        resolver: Callable[[str], list[str]] = resolve,
        allowed: Callable[[str], bool] = is_global,
        context: ssl.SSLContext | None = None,
        port: int = PORT,
    ) -> None:
        self._hosts = frozenset(hosts)
        self._max_bytes = max_bytes
        self._deadline = deadline
        self._resolver = resolver
        self._allowed = allowed
        self._context = context or ssl.create_default_context()
        self._port = port

    def fetch(self, urls: Sequence[str]) -> list[bytes]:
        """The image files behind ``urls``, in their order.

        Raises:
            RequestError: ``image_url_refused`` for a URL, host or address that is not allowed; ``image_url_failed``
                when the host does not answer with an image in time.
        """
        targets = [self._check(url) for url in urls]  # all of them before any connection is made
        until = time.monotonic() + self._deadline
        left = self._max_bytes
        found = []
        for host, path in targets:
            data = self._get(host, path, left, until)
            left -= len(data)
            found.append(data)
        return found

    def _check(self, url: str) -> tuple[str, str]:
        """Host and request target of an allowed URL."""
        if len(url) > MAX_URL_CHARACTERS:
            raise _refused(f"The URL has {len(url)} characters; at most {MAX_URL_CHARACTERS} are accepted.")
        # urlsplit drops tabs and line ends, and other parsers read "\" as "/": neither may reach it.
        if not url.isascii() or any(character <= " " or character in '\\\x7f"<>^`{|}' for character in url):
            raise _refused("The URL has characters that a URL cannot have; percent-encode them.")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise _refused("The URL cannot be read.") from None
        if parts.scheme != "https":
            raise _refused("The URL must begin with https://.")
        if "@" in parts.netloc:
            raise _refused("The URL must not hold a user name or password.")
        if port not in (None, self._port):
            raise _refused(f"The URL names port {port}; only {self._port} is allowed.")
        host = (parts.hostname or "").lower()
        if host not in self._hosts:
            raise _refused(f"The host {host[:253]!r} is not on the list of allowed hosts.")
        return host, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def _get(self, host: str, path: str, left: int, until: float) -> bytes:
        addresses = self._addresses(host, until)
        try:
            with self._connect(addresses, host, until) as stream:
                # Each read has a timeout, but a slow sender restarts it: this one ends the whole exchange.
                watchdog = threading.Timer(max(0.0, until - time.monotonic()), _shut, (stream,))
                watchdog.daemon = True
                watchdog.start()
                try:
                    return self._exchange(stream, host, path, left)
                finally:
                    watchdog.cancel()
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() >= until:
                raise _failed(host, f"did not answer within {self._deadline:g} s") from None
            reason = "failed in TLS" if isinstance(error, ssl.SSLError) else "closed the connection or answered no HTTP"
            raise _failed(host, reason) from None

    def _addresses(self, host: str, until: float) -> list[str]:
        """The addresses of ``host``, each of them allowed. The look-up runs aside, for it knows no timeout."""
        answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

        def look_up() -> None:
            try:
                answers.put(self._resolver(host))
            except (OSError, UnicodeError) as error:
                answers.put(error if isinstance(error, OSError) else OSError(str(error)))

        threading.Thread(target=look_up, name="resolve", daemon=True).start()
        try:
            answer = answers.get(timeout=max(0.001, until - time.monotonic()))
        except queue.Empty:
            raise _failed(host, f"was not resolved within {self._deadline:g} s") from None
        if isinstance(answer, OSError) or not answer:
            raise _failed(host, "has no address")
        if not all(self._allowed(address) for address in answer):
            raise _refused(f"The host {host!r} has an address that is not on the public Internet.")
        return answer

    def _connect(self, addresses: list[str], host: str, until: float) -> ssl.SSLSocket:
        failure: OSError = OSError("no address")
        for address in addresses:
            try:
                plain = socket.create_connection((address, self._port), timeout=max(0.001, until - time.monotonic()))
                try:
                    plain.settimeout(max(0.001, until - time.monotonic()))
                    # An end without TLS's own closing message may be a cut: it must not pass for the image's end.
                    return self._context.wrap_socket(plain, server_hostname=host, suppress_ragged_eofs=False)
                except BaseException:
                    plain.close()
                    raise
            except OSError as error:
                failure = error
        raise failure

    def _exchange(self, stream: ssl.SSLSocket, host: str, path: str, left: int) -> bytes:
        connection = http.client.HTTPConnection(host, self._port)
        connection.sock = stream
        connection.request("GET", path, headers={**_HEADERS, "Host": host})
        with connection.getresponse() as response:
            if 300 <= response.status < 400:
                raise _failed(host, f"answered {response.status}; redirects are not followed")
            if response.status != 200:
                raise _failed(host, f"answered {response.status}")
            media_type = response.headers.get_content_type()
            if not media_type.startswith("image/"):
                raise _failed(host, "answered something that is no image/*")
            if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
                raise _failed(host, "answered in a content coding that was not asked for")
            if response.length is not None and response.length > left:
                raise _failed(host, f"answered {response.length} bytes; at most {left} are accepted")
            expected = response.length
            parts: list[bytes] = []
            size = 0
            while chunk := response.read1(_CHUNK):
                size += len(chunk)
                if size > left:
                    raise _failed(host, f"answered more than the {left} bytes that are accepted")
                parts.append(chunk)
            if expected is not None and size < expected:
                raise _failed(host, f"answered {size} of {expected} bytes")
            return b"".join(parts)


def _shut(stream: socket.socket) -> None:
    try:
        socket.socket.shutdown(stream, socket.SHUT_RDWR)  # below TLS, so that its reader sees a cut
    except OSError:  # closed in the meantime
        pass


def _refused(message: str) -> RequestError:
    return RequestError("image_url_refused", message)


def _failed(host: str, what: str) -> RequestError:
    return RequestError("image_url_failed", f"The image could not be fetched: the host {host!r} {what}.")
