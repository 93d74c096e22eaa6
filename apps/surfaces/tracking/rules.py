"""Telling machines from people: by what a request says of itself, and by what is done with one message. Pure.

Link scanners of mail gateways follow links before the person sees them; proxies fetch pictures whether somebody looks
or not. Both are kept, marked, and counted for nobody. What is looked at: known agents; a link that people don't see;
more links, or sooner, than a hand can follow.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from apps.decisioning.content.traces import HONEYPOT

from .contracts import Seen

SCANNER, PROXY, HONEYPOT_FOUND, BURST, TOO_SOON = "scanner", "proxy", "honeypot", "burst", "too_soon"

AROUND: Final = timedelta(seconds=60)
"""So long before and after the hidden link was followed, whatever is done with its message is the same machine's."""
HAND: Final = timedelta(seconds=3)
"""Nobody opens MANY links of one message within this, nor two within BLINK."""
MANY: Final = 3
BLINK: Final = timedelta(milliseconds=500)
SOONEST: Final = timedelta(seconds=1)
"""Nobody follows a link sooner after its message was handed over."""
SAME: Final = timedelta(seconds=60)
"""The same link of the same message again within this is the same look."""

_SCANNERS: Final = re.compile(
    r"bot\b|bot/|crawl|spider|scan|preview|monitor|validator|fetch|curl/|wget|python|urllib|aiohttp|httpx|okhttp|"
    r"go-http|java/|apache-http|libwww|lwp|node|axios|undici|ruby|php/|headless|phantom|barracuda|proofpoint|mimecast|"
    r"symantec|messagelabs|sophos|trend ?micro|trendmicro|forcepoint|fortinet|fortiguard|cisco|ironport|safelinks|"
    r"zscaler|facebookexternalhit|whatsapp|telegram|slack|skypeuri|discord|embedly|bitly|google-safety|virustotal",
    re.IGNORECASE,
)
_PROXIES: Final = re.compile(
    r"googleimageproxy|yahoomailproxy|yahoocachesystem|outlookimageproxy|cloudflare-.*proxy|duckduckgo.*image|mailproxy",
    re.IGNORECASE,
)
_APPLE: Final = "Mozilla/5.0"
"""All that Apple's Mail Privacy Protection says of itself; no browser says so little."""


def machine_of(user_agent: str, *, opened: bool) -> str:
    """What a request says of being made by a machine; "" if nothing. opened: it asked for the picture."""
    agent = user_agent.strip()
    if not agent or _SCANNERS.search(agent):
        return SCANNER
    if opened and (agent == _APPLE or _PROXIES.search(agent)):
        return PROXY
    return ""


def machines_found(
    seen: Sequence[Seen], *, others: Iterable[Seen], handed_over: Mapping[UUID, datetime | None]
) -> dict[str, str]:
    """Why each of `seen` counts for no person, by its id; who is missing does.

    others: what else was seen of the same messages, a minute before and after; handed_over: when each went out.
    """
    by_message: defaultdict[UUID, list[Seen]] = defaultdict(list)
    for one in (*seen, *others):
        by_message[one.message_id].append(one)
    hidden: dict[UUID, list[datetime]] = {}
    bursts: dict[UUID, list[datetime]] = {}
    for message_id, looks in by_message.items():
        clicks = sorted((one for one in looks if one.kind == "clicked"), key=lambda one: one.at)
        hidden[message_id] = [one.at for one in clicks if one.link == HONEYPOT]
        bursts[message_id] = _bursts(clicks)
    found: dict[str, str] = {}
    for one in seen:
        sent = handed_over.get(one.message_id)
        if one.machine:
            found[one.id] = one.machine
        elif any(abs(one.at - at) <= AROUND for at in hidden[one.message_id]):
            found[one.id] = HONEYPOT_FOUND
        elif any(abs(one.at - at) <= HAND for at in bursts[one.message_id]):
            found[one.id] = BURST
        elif sent is not None and one.at - sent < SOONEST:
            found[one.id] = TOO_SOON
    return found


def _bursts(clicks: Sequence[Seen]) -> list[datetime]:
    """The moments of clicks (in order) that came faster than a hand: of each burst all."""
    moments: list[datetime] = []
    for at, first in enumerate(clicks):
        near = [one for one in clicks[at:] if one.at - first.at <= HAND]
        blink = {one.link for one in near if one.at - first.at <= BLINK}
        if len({one.link for one in near}) >= MANY or len(blink) > 1:
            moments += [one.at for one in near]
    return moments


def looks_once(seen: Sequence[Seen], *, others: Iterable[Seen]) -> list[Seen]:
    """`seen` without what is only the same look again: of `others` (earlier ones) or of each other."""
    last: dict[tuple[UUID, str, int | None], datetime] = {}
    for one in others:
        key = (one.message_id, one.kind, one.link)
        last[key] = max(one.at, last.get(key, one.at))
    kept: list[Seen] = []
    for one in sorted(seen, key=lambda one: (one.at, one.id)):
        key = (one.message_id, one.kind, one.link)
        if key not in last or one.at - last[key] >= SAME:
            kept.append(one)
            last[key] = one.at
    return kept
