"""Whether a domain takes mail, by DNS: MX, else its own address (RFC 5321, 5.1); a null MX refuses (RFC 7505).

Never a promise, and never in the way: within `MAIL_HOST_SECONDS` in all, and what can't be known is «unknown». Answers
are kept in Redis under a keyed digest, the good ones long, the bad ones short; without Redis each is asked anew.
"""

import logging
import time
from enum import StrEnum
from functools import lru_cache
from typing import Final

import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver
import redis
from django.conf import settings

from apps.foundation.core.signing import address_digest

logger = logging.getLogger(__name__)


class MailHost(StrEnum):
    """What DNS says of a domain."""

    TAKES = "takes"
    REFUSES = "refuses"
    """It says itself that it takes none (RFC 7505)."""
    NONE = "none"
    """There is no such domain, or nothing that mail could be handed to."""
    UNKNOWN = "unknown"
    """No answer in time, or servers that fail."""


_KEEP_SECONDS: Final = {
    MailHost.TAKES: 24 * 3600,
    MailHost.REFUSES: 6 * 3600,
    MailHost.NONE: 15 * 60,  # a domain registered just now is there soon (RFC 2308 lets it be up to hours)
    MailHost.UNKNOWN: 30,  # so that servers that hang don't hold each key typed
}


def mail_host_find(domain: str) -> MailHost:
    """Whether `domain` (ASCII, small letters) takes mail. Takes `MAIL_HOST_SECONDS` at most, and never raises."""
    key = f"mail-host:{address_digest('domain', domain).hex()[:32]}"
    known = _kept(key)
    if known is None:
        known = _ask(domain)
        _keep(key, known)
    return known


@lru_cache(maxsize=1)
def _redis(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, socket_timeout=0.2, socket_connect_timeout=0.2)


def _kept(key: str) -> MailHost | None:
    try:
        value = _redis(settings.REDIS_URL).get(key)
    except redis.RedisError:
        return None
    return MailHost(value.decode()) if isinstance(value, bytes) and value.decode() in list(MailHost) else None


def _keep(key: str, answer: MailHost) -> None:
    try:
        _redis(settings.REDIS_URL).set(key, str(answer), ex=_KEEP_SECONDS[answer])
    except redis.RedisError:
        logger.warning("an answer about a mail host was not kept")


@lru_cache(maxsize=4)
def _resolver(servers: tuple[str, ...], seconds: float) -> dns.resolver.Resolver:
    """A resolver with the servers of the settings, or the machine's. Raises NoResolverConfiguration."""
    resolver = dns.resolver.Resolver(configure=not servers)
    if servers:
        resolver.nameservers = [
            dns.nameserver.Do53Nameserver(host.strip("[]"), int(port or 53))
            for host, _, port in (server.rpartition(":") if ":" in server else (server, "", "") for server in servers)
        ]
    resolver.timeout = seconds / 2  # of each try: a server that hangs leaves time for the next
    return resolver


def _denied(*responses: dns.message.Message) -> MailHost:
    """What a denial is worth: one that comes from the domain's servers, or those above, brings their SOA (RFC 2308, 2).

    A resolver without a network, or behind a wall, denies everything, and brings none.
    """
    proven = any(rrset.rdtype == dns.rdatatype.SOA for response in responses for rrset in response.authority)
    return MailHost.NONE if proven else MailHost.UNKNOWN


def _ask(domain: str) -> MailHost:
    seconds = settings.MAIL_HOST_SECONDS
    until = time.monotonic() + seconds
    try:
        resolver = _resolver(tuple(settings.DNS_SERVERS), seconds)
        name = dns.name.from_text(domain)
        for kind in ("MX", "A", "AAAA"):
            left = until - time.monotonic()
            if left <= 0:
                return MailHost.UNKNOWN
            answer = resolver.resolve(name, kind, lifetime=left, search=False, raise_on_no_answer=False)
            if answer.rrset is None:
                last = answer.response
                continue
            if kind == "MX" and all(record.exchange == dns.name.root for record in answer.rrset):
                return MailHost.REFUSES
            return MailHost.TAKES
    except dns.resolver.NXDOMAIN as nowhere:
        return _denied(*nowhere.kwargs["responses"].values())
    except (dns.exception.DNSException, OSError, ValueError):  # no network, no time, servers that fail
        return MailHost.UNKNOWN
    return _denied(last)
