"""At most so many tries within so long: for what strangers may ask for, counted in Redis.

A window begins with its first try and ends by itself; tries that were refused don't prolong it. Counting and asking are
one call of a script, so that many at once can't slip through. Keys are keyed digests: no address and no IP is in Redis.

Redis gone: everything is allowed. A limit keeps load and annoyance small; it protects nothing that a person has a right
to, and nobody may be kept from leaving because a cache is down. For the same reason unsubscribing asks for no limit.
"""

import hmac
import logging
from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from threading import Lock
from time import monotonic

import redis
from django.conf import settings
from django.http import HttpRequest

from .quick import LeftAlone, redis_quick

logger = logging.getLogger(__name__)

_WAIT_SECONDS = 0.05
_COUNT = """
local tries = redis.call('INCR', KEYS[1])
if tries == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return tries <= tonumber(ARGV[1]) and 1 or 0
"""


def allowed(*, name: str, who: str, count: int, seconds: int) -> bool:
    """Count one try of `who`; whether it is among the first `count` within `seconds` of the first.

    name: what is tried, such as `preferences.find`; each name counts for itself; who: an address, an IP, an id.
    """
    digest = hmac.digest(settings.SECRET_KEY.encode(), f"{name}\0{who}".encode(), "sha256")
    try:
        answer = redis_quick(settings.REDIS_URL, _WAIT_SECONDS).eval(
            _COUNT, 1, f"limit:{digest[:16].hex()}", count, seconds * 1000
        )
        return bool(answer == 1)
    except redis.RedisError as error:
        if not isinstance(error, LeftAlone):
            logger.warning("tries of %s are not counted: %s", name, type(error).__name__)
        return True


# What does not fit whole takes nothing, so that a smaller one that comes behind it still may.
_TALLY = """
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
local room, taken = ARGV[3] - used, 0
if room >= tonumber(ARGV[1]) then
  taken = math.min(room, tonumber(ARGV[2]))
  redis.call('INCRBY', KEYS[1], taken)
  if used == 0 then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
end
return {taken, room - taken, redis.call('PTTL', KEYS[1])}
"""


@dataclass(frozen=True, slots=True)
class Tally:
    """What one window has left. within: whether this one is still allowed; left: how many more are; resets_in: whole
    seconds until the window is over."""

    within: bool
    left: int
    resets_in: int


@dataclass(slots=True)
class _Ahead:
    """What this process took of a window and did not use yet. left: in the window beside; ends: of `monotonic`."""

    taken: int
    left: int
    ends: float


_AHEAD = 200
"""A process takes a 200th of the count at once, so that a high limit does not cost a round trip each time."""
_AHEAD_MOST = 2_000
_ahead: "OrderedDict[str, _Ahead]" = OrderedDict()
_ahead_lock = Lock()


def tally(*, name: str, who: str, count: int, seconds: int, weight: int = 1) -> Tally | None:
    """Count `weight` for `who` where that much is left, else nothing, and tell what is left. None where Redis is away:
    nothing is counted.

    A process takes some ahead where the count is high. So never more than the count gets through; with several
    processes, up to a 200th of it for each may be left unused when others are told that there is no more.
    who: an id of ours, which may be in Redis as it is.
    """
    weight = max(weight, 1)
    key, at = f"limit:{name}:{who}", monotonic()
    with _ahead_lock:
        ahead = _ahead.get(key)
        spare = ahead.taken if ahead is not None and at < ahead.ends else 0
        if ahead is not None and spare >= weight:
            ahead.taken -= weight
            return Tally(True, ahead.left + ahead.taken, max(int(ahead.ends - at) + 1, 1))
        if ahead is not None:
            ahead.taken = 0  # this one has it; what it doesn't use goes back below
    asked = weight - spare, max(weight - spare, count // _AHEAD), count, seconds * 1000
    try:
        taken, left, milliseconds = redis_quick(settings.REDIS_URL, _WAIT_SECONDS).eval(_TALLY, 1, key, *asked)
    except redis.RedisError as error:
        if not isinstance(error, LeftAlone):  # said when it was asked
            logger.warning("requests of %s are not counted: %s", name, type(error).__name__)
        return None
    left, within = max(left, 0), taken > 0
    spare += taken - (weight if within else 0)
    if spare:
        with _ahead_lock:
            before = _ahead.get(key)
            beside = before.taken if before is not None and at < before.ends else 0  # other threads', meanwhile
            _ahead[key] = _Ahead(spare + beside, left, at + milliseconds / 1000)
            _ahead.move_to_end(key)
            while len(_ahead) > _AHEAD_MOST:
                _ahead.popitem(last=False)
    return Tally(within, left + spare, max(-(-milliseconds // 1000), 1))


def visitor_ip(request: HttpRequest) -> str:
    """The IP address that a request came from; "" where it can't be told.

    Behind proxies that is what the outermost of ours wrote into X-Forwarded-For (`PROXIES` says how many there are):
    whatever stands before that, the visitor may have written. A request that came past them is its peer's.
    """
    peer = request.META.get("REMOTE_ADDR", "")
    told = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    seen = told[-settings.PROXIES] if 0 < settings.PROXIES <= len(told) else peer
    for text in (seen, peer):
        try:
            return str(ip_address(text.strip()))
        except ValueError:
            continue
    return ""


def visitor_network(request: HttpRequest) -> str:
    """Whom to count tries of a visitor for: see `network_of`."""
    return network_of(visitor_ip(request))


def network_of(ip: str) -> str:
    """The address itself, of IPv6 the /64 that one household or machine gets; "" for none."""
    address = ip_address(ip) if ip else None
    if not isinstance(address, IPv6Address):
        return ip
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> 64 << 64))
