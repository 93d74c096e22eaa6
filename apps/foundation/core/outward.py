"""Going out by HTTP to addresses that people typed in: only where it is meant to go, and never longer than is said.

A name is resolved once, every address it has must be public, and the connection goes to one of those, with the name in
TLS and in the Host header: so neither a name that points inside nor one that changes between look and connection
(DNS rebinding) reaches what is not meant to be reached. Redirects are failures.
"""

import http.client
import socket
import ssl
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052, 2.1
_CHUNK: Final = 16_384


class AddressRefused(Exception):
    """The address is none that webhooks may go to. The text says why, for people."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a webhook goes, taken apart and looked at."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"


def target_read(url: str, *, inside: Collection[str] = ()) -> Target:
    """A URL taken apart. inside: hosts of one's own network, allowed also without TLS. Raises AddressRefused."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise AddressRefused("it is not a web address: write https://host/path") from None
    if not host or not url.isascii() or any(ord(c) <= 32 for c in url) or len(url) > 500:
        raise AddressRefused("it is not a web address: write https://host/path, without spaces")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise AddressRefused("leave out user names, passwords and what follows a #")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in inside):
        raise AddressRefused("it is not encrypted: write https://")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), path)


def addresses_public(target: Target, *, inside: Collection[str] = ()) -> list[str]:
    """The addresses of a target's host, every one of them public unless the host is one of `inside`.

    Raises AddressRefused, OSError when the name can't be resolved.
    """
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if target.host not in inside:
        for address in addresses:
            if not _is_public(ip_address(address.partition("%")[0])):
                raise AddressRefused("its host has an address inside a private network")
    return addresses


def _is_public(ip: IPv4Address | IPv6Address) -> bool:
    """Whether an address is one of the open internet, and what it may be a way to (6to4, NAT64, mapped) is too."""
    inner: IPv4Address | None = None
    if isinstance(ip, IPv6Address):
        inner = IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else ip.ipv4_mapped or ip.sixtofour
    return ip.is_global and not ip.is_multicast and (inner is None or _is_public(inner))


class PinnedConnection(http.client.HTTPConnection):
    """A connection to an address that was looked at; the host's name is kept for TLS and the Host header."""

    def __init__(self, target: Target, address: str, timeout: float) -> None:
        super().__init__(target.host, target.port, timeout=timeout)
        self._target, self._address = target, address

    def connect(self) -> None:
        connected = socket.create_connection((self._address, self._target.port), self.timeout)
        if self._target.scheme == "https":
            connected = ssl.create_default_context().wrap_socket(connected, server_hostname=self._target.host)
        self.sock = connected


class OutwardFault(Exception):
    """Nothing usable came. code: in a word; status: of HTTP, None when there was no answer; later: whether asking
    once more may help.
    """

    def __init__(self, code: str, *, status: int | None = None, later: bool = True) -> None:
        super().__init__(code)
        self.code, self.status, self.later = code, status, later


@dataclass(frozen=True, slots=True)
class Answer:
    """What came. headers: by their names in small letters."""

    status: int
    body: bytes
    headers: Mapping[str, str]


def outward_get(
    url: str, *, headers: Mapping[str, str], timeout: float, most: int, inside: Collection[str] = ()
) -> bytes:
    """The body behind an address, as `outward_fetch` has it. Raises OutwardFault."""
    return outward_fetch(url, headers=headers, timeout=timeout, most=most, inside=inside).body


def outward_fetch(
    url: str,
    *,
    headers: Mapping[str, str],
    timeout: float,
    most: int,
    inside: Collection[str] = (),
    also: Collection[int] = (),
) -> Answer:
    """What is behind an address. timeout: seconds for everything together, however slowly bytes trickle in; most:
    bytes; also: statuses beside 200 that are an answer.

    Raises OutwardFault: `address_refused`, `name_not_found`, `not_connected`, `tls`, `timeout`, `connection_lost`,
    `too_large`, or the status as text for any other answer.
    """
    ends = time.monotonic() + timeout
    try:
        target = target_read(url, inside=inside)
        addresses = addresses_public(target, inside=inside)
    except AddressRefused:
        raise OutwardFault("address_refused", later=False) from None
    except OSError:
        raise OutwardFault("name_not_found") from None
    fault = OutwardFault("not_connected")
    for address in addresses[:2]:
        try:
            return _get(target, address, headers, ends, most, also)
        except OutwardFault as error:
            fault = error
            if error.code != "not_connected":
                break
    raise fault


def _get(
    target: Target, address: str, headers: Mapping[str, str], ends: float, most: int, also: Collection[int]
) -> Answer:
    connection = PinnedConnection(target, address, _left(ends))
    try:
        try:
            connection.connect()
        except TimeoutError:
            raise OutwardFault("timeout") from None
        except ssl.SSLError:
            raise OutwardFault("tls", later=False) from None
        except OSError:
            raise OutwardFault("not_connected") from None
        sock = connection.sock  # the connection lets go of it when the answer says that it ends
        sock.settimeout(_left(ends))
        sent = {"Host": target.host_header, "Accept": "application/json", "User-Agent": "Tessera", **headers}
        connection.request("GET", target.path, headers=sent)
        sock.settimeout(_left(ends))
        response = connection.getresponse()
        if response.status != 200 and response.status not in also:
            status = response.status
            later = status in (408, 425, 429) or status >= 500
            raise OutwardFault(str(status), status=status, later=later)
        body = bytearray()
        while True:
            sock.settimeout(_left(ends))
            chunk = response.read1(_CHUNK)
            if not chunk:
                break
            body += chunk
            if len(body) > most:
                raise OutwardFault("too_large", later=False)
        if response.length:
            raise OutwardFault("connection_lost")  # less than was announced
        return Answer(response.status, bytes(body), {name.lower(): value for name, value in response.getheaders()})
    except TimeoutError:
        raise OutwardFault("timeout") from None
    except (OSError, http.client.HTTPException, ValueError):
        raise OutwardFault("connection_lost") from None
    finally:
        connection.close()


def _left(ends: float) -> float:
    """Seconds that are left. Raises TimeoutError."""
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
