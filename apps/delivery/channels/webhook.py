"""Webhooks by HTTPS: a POST to an address that was looked at, on the very connection that goes there.

A name is resolved once, every address it has must be public, and the connection goes to one of those, with the name in
TLS and in the Host header: so neither a name that points inside nor one that changes between look and connection
(DNS rebinding) reaches what is not meant to be reached. Redirects are failures. Answers are not read beyond a little.
"""

import http.client
import socket
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

TIMEOUT_SECONDS: Final = 10.0
"""For connecting, and for each wait on the socket after that."""
_READ: Final = 2_048
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052, 2.1


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a POST. status: of HTTP, None when there was no answer; error: a code, "" for none."""

    status: int | None
    error: str = ""

    @property
    def taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


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


class _Connection(http.client.HTTPConnection):
    """A connection to an address that was looked at; the host's name is kept for TLS and the Host header."""

    def __init__(self, target: Target, address: str, timeout: float) -> None:
        super().__init__(target.host, target.port, timeout=timeout)
        self._target, self._address = target, address

    def connect(self) -> None:
        connected = socket.create_connection((self._address, self._target.port), self.timeout)
        if self._target.scheme == "https":
            connected = ssl.create_default_context().wrap_socket(connected, server_hostname=self._target.host)
        self.sock = connected


def webhook_post(
    url: str,
    *,
    body: bytes,
    headers: Mapping[str, str],
    inside: Collection[str] = (),
    timeout: float = TIMEOUT_SECONDS,
) -> Answer:
    """POST a body of JSON. Never raises for what the other side does: the answer says it."""
    try:
        target = target_read(url, inside=inside)
        addresses = addresses_public(target, inside=inside)
    except AddressRefused:
        return Answer(None, "address_refused")
    except OSError:
        return Answer(None, "name_not_found")
    answer = Answer(None, "no_address")
    for address in addresses[:2]:
        answer = _post(target, address, body, headers, timeout)
        if answer.error != "not_connected":
            break
    return answer


def _post(target: Target, address: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
    connection = _Connection(target, address, timeout)
    try:
        try:
            connection.connect()
        except ssl.SSLError:
            return Answer(None, "tls")
        except OSError:
            return Answer(None, "not_connected")
        sent = {"Host": target.host_header, "Content-Type": "application/json", "User-Agent": "Tessera", **headers}
        connection.request("POST", target.path, body=body, headers=sent)
        response = connection.getresponse()
        response.read(_READ)
    except TimeoutError:
        return Answer(None, "timeout")
    except (OSError, http.client.HTTPException):
        return Answer(None, "connection_lost")
    else:
        if 300 <= response.status < 400:
            return Answer(response.status, "redirect")
        return Answer(response.status, "" if 200 <= response.status < 300 else "refused")
    finally:
        connection.close()
