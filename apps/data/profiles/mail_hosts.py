"""Whether a domain takes mail, by DNS: MX, else its own address (RFC 5321, 5.1); a null MX refuses (RFC 7505).

Never a promise, and never in the way: within `MAIL_HOST_SECONDS` in all, and what can't be known is «unknown». Answers
are kept in Redis under a keyed digest, the good ones long, the bad ones short; without Redis each is asked anew.
"""

import logging
import time
from collections import deque
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import timedelta
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

from .rules import MailHost

logger = logging.getLogger(__name__)


_KEEP_SECONDS: Final = {
    MailHost.TAKES: 24 * 3600,
    MailHost.REFUSES: 6 * 3600,
    MailHost.NONE: 15 * 60,  # a domain registered just now is there soon (RFC 2308 lets it be up to hours)
    MailHost.UNKNOWN: 30,  # so that servers that hang don't hold each key typed
}


_SIDE_BY_SIDE: Final = 16
_SILENT_SERVERS: Final = 48
"""After so many questions in a row without an answer the name servers are left alone."""


def mail_host_find(domain: str) -> MailHost:
    """Whether `domain` (ASCII, small letters) takes mail. Takes `MAIL_HOST_SECONDS` at most, and never raises."""
    key = _key(domain)
    known = _kept(key)
    if known is None:
        known = _ask(domain)
        _keep(key, known)
    return known


def mail_hosts_find(domains: Collection[str], *, per_second: float) -> dict[str, tuple[MailHost, timedelta]]:
    """The same of many domains, each with how old the answer is: those not known are asked, so many a second at most.

    Where servers answer none of so many in a row, the rest is not asked: «unknown». Never raises.
    """
    asked = sorted(set(domains))
    found = _many_kept(asked)
    missing = [domain for domain in asked if domain not in found]
    lately: deque[bool] = deque(maxlen=_SILENT_SERVERS)
    began = time.monotonic()
    with ThreadPoolExecutor(max_workers=_SIDE_BY_SIDE, thread_name_prefix="mail-hosts") as threads:
        for place in range(0, len(missing), _SIDE_BY_SIDE):
            portion = missing[place : place + _SIDE_BY_SIDE]
            if len(lately) == _SILENT_SERVERS and not any(lately):
                found |= {domain: (MailHost.UNKNOWN, timedelta(0)) for domain in portion}
                continue
            time.sleep(max(0.0, began + place / per_second - time.monotonic()))
            asking = {threads.submit(_ask, domain): domain for domain in portion}
            for one in as_completed(asking):
                domain, answer = asking[one], one.result()
                _keep(_key(domain), answer)
                lately.append(answer != MailHost.UNKNOWN)
                found[domain] = answer, timedelta(0)
    return found


def _key(domain: str) -> str:
    return f"mail-host:{address_digest('domain', domain).hex()[:32]}"


def _many_kept(domains: Collection[str]) -> dict[str, tuple[MailHost, timedelta]]:
    found: dict[str, tuple[MailHost, timedelta]] = {}
    try:
        with _redis(settings.REDIS_URL).pipeline(transaction=False) as pipe:
            for domain in domains:
                pipe.get(_key(domain))
                pipe.ttl(_key(domain))
            rows = pipe.execute()
    except redis.RedisError:
        return found
    for domain, value, left in zip(domains, rows[::2], rows[1::2], strict=True):
        if value is not None and value.decode() in list(MailHost):
            answer = MailHost(value.decode())
            found[domain] = answer, timedelta(seconds=max(0, _KEEP_SECONDS[answer] - left))
    return found


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
