"""What a browser tells of a visitor without being asked for more: language, country, device, and where they came from.

Pure. All of it is coarse and bounded, and may be wrong or made up: it starts a profile, and decides nothing. No
look-up of the IP address.
"""

import re
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from apps.data.profiles.normalize import country_code, language_tag, text_clean, time_zone_name

UTM: Final = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
UTM_LIMIT: Final = 100
PAGE_LIMIT: Final = 300
HOST_LIMIT: Final = 253

_QUALITY = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?")
_PHONE = re.compile(r"iphone|ipod|mobile|windows phone|opera mini", re.IGNORECASE)
_TABLET = re.compile(r"ipad|tablet|kindle|silk|playbook|android", re.IGNORECASE)
_COMPUTER = re.compile(r"windows nt|macintosh|x11|cros|linux", re.IGNORECASE)


def languages_accepted(header: str) -> list[str]:
    """The languages of `Accept-Language` (RFC 9110, 12.5.4) as tags, the best first; at most ten."""
    found: list[tuple[float, int, str]] = []
    for place, part in enumerate(header[:500].split(",")[:10]):
        name, _, rest = part.strip().partition(";")
        quality = _QUALITY.fullmatch(rest.strip()) if rest.strip() else None
        weight = float(quality[1]) if quality else 1.0
        tag = language_tag(name)
        if tag and weight > 0:
            found.append((-weight, place, tag))
    return [tag for _, _, tag in sorted(found)]


def language_choose(wanted: Sequence[str], offered: Sequence[str]) -> str:
    """Of the offered languages the first that is wanted, `de` for `de-AT` and the other way round; else the first."""
    for tag in wanted:
        for name in (tag, tag.partition("-")[0]):
            if name in offered:
                return name
        close = [name for name in offered if name.partition("-")[0] == tag.partition("-")[0]]
        if close:
            return close[0]
    return offered[0] if offered else "en"


@lru_cache(maxsize=1)
def _zone_countries() -> dict[str, str]:
    """The country of each time zone, by the list beside the system's time zones; none where it is not there."""
    for folder in zoneinfo.TZPATH:
        path = Path(folder) / "zone.tab"
        if path.is_file():
            lines = [line.split("\t") for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
            return {fields[2]: fields[0] for fields in lines if len(fields) > 2}
    return {}


def country_guess(*, time_zone: str, languages: Sequence[str]) -> str:
    """The country by the time zone of the device, else by the region of the best language that names one; or `""`.

    The clock is where the person is; a region in the language is often that of whoever set up the device.
    """
    if by_clock := _zone_countries().get(time_zone, ""):
        return country_code(by_clock)
    regions = (tag.rpartition("-")[2] for tag in languages if "-" in tag)
    return next((code for region in regions if len(region) == 2 and (code := country_code(region))), "")


def device_class(user_agent: str) -> str:
    """`phone`, `tablet`, `computer`, or `""`: no more is read or kept of what a browser says of itself."""
    for pattern, name in ((_PHONE, "phone"), (_TABLET, "tablet"), (_COMPUTER, "computer")):
        if pattern.search(user_agent[:400]):
            if name == "phone" and re.search("ipad|tablet", user_agent[:400], re.IGNORECASE):
                return "tablet"
            return name
    return ""


def page_bare(url: str) -> str:
    """A page's address without query, fragment, name and password: a query may hold secrets. `""` if it is none."""
    try:
        parts = urlsplit(url.strip()[:2000])
        host = parts.hostname or ""
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host):
        return ""
    path = parts.path if parts.path.isprintable() else ""
    return f"{parts.scheme}://{host}{path}"[:PAGE_LIMIT]


def host_bare(url: str) -> str:
    """The host of a page's address, `""` if it is none."""
    page = page_bare(url)
    return (urlsplit(page).hostname or "")[:HOST_LIMIT] if page else ""


@dataclass(frozen=True, slots=True)
class Visit:
    """Where a sign-up came from. utm: the five by name; landing_page: without its query; all bounded."""

    utm: Mapping[str, str]
    landing_page: str
    referrer_host: str
    device: str
    languages: tuple[str, ...]
    country: str
    time_zone: str


def visit_read(fields: Mapping[str, str], *, user_agent: str, accept_language: str, referer: str) -> Visit:
    """A visit from a form's hidden fields and the browser's headers.

    A form on a site of the shop's own has the page itself as the `Referer`, unless its fields say more.
    """
    time_zone = time_zone_name(fields.get("time_zone", "")[:60])
    languages = tuple(languages_accepted(accept_language))
    return Visit(
        utm={name: text_clean(fields.get(name, "")[: UTM_LIMIT * 4])[:UTM_LIMIT] for name in UTM},
        landing_page=page_bare(fields.get("landing_page", "")) or page_bare(referer),
        referrer_host=host_bare(fields.get("referrer", "")),
        device=device_class(user_agent),
        languages=languages,
        country=country_guess(time_zone=time_zone, languages=languages),
        time_zone=time_zone,
    )
