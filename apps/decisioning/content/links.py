"""Where a link in a message may go: https, to a host of the brand; and http only on this machine itself."""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_MAX = 2000
# Characters that a URI may hold (RFC 3986, 2), with "%" only before two hex digits; no user information.
_SPELLING = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(?:[/?#](?:[A-Za-z0-9\-._~:/?#@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)?")
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[::1\]")


def host_is_valid(host: str) -> bool:
    """Whether `host` is a plain lower-case host name (RFC 1123, 2.1), without scheme, port or path."""
    return _HOST.fullmatch(host) is not None


def link_fault(url: str, hosts: Collection[str] | None) -> str:
    """What is wrong with a link, for people; "" if nothing is.

    hosts: those that it may go to; None leaves the host for later, when the brand is known.
    """
    if len(url) > _MAX:
        return f"is longer than {_MAX} characters"
    if not _SPELLING.fullmatch(url):
        return "is not a web address: write https://host/path, other characters percent-encoded"
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        _ = parts.port  # raises ValueError for a port that is none
    except ValueError:
        return "is not a web address: write https://host/path"
    if ":" in host:
        host = f"[{host}]"
    if not host_is_valid(host):
        return "has no valid host: write https://host/path"
    if parts.scheme == "http" and host not in _LOOPBACK:
        return "is not encrypted: write https://"
    if hosts is not None and host not in hosts:
        return f"goes to {host}, which the brand does not allow: use {', '.join(sorted(hosts)) or 'no link'}"
    return ""


def link_is_safe(url: str, hosts: Collection[str]) -> bool:
    """Whether a link may stand in a message of a brand with these hosts."""
    return not link_fault(url, hosts)
