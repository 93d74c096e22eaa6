"""Systems that tell us things, as the settings name them. Loud about what can't be meant."""

import re
from collections.abc import Mapping
from typing import Any, Final

from environs import EnvError

from apps.data.inbound.bodies import FETCHED, mapping_problem
from apps.data.inbound.feed_forms import FORMS

SHOPS: Final = ("shopify", "woocommerce")
DESKS: Final = ("zendesk", "webhook")
ASKED: Final = ("pull", "table", "feed")
LIVE: Final = "live"
_LIVE_NUMBERS: Final = {
    "timeout_ms": (150, 10, 2_000),
    "fresh_seconds": (60, 0, 3_600),
    "keep_seconds": (86_400, 60, 604_800),
    "most": (30, 1, 100),
}
"""Of a live source: default, least, most."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


def inbound_systems_read(given: object) -> dict[str, dict[str, Any]]:
    """INBOUND_SYSTEMS: code → kind, secret and mapping. Raises EnvError, never with a secret in it."""
    if not isinstance(given, Mapping):
        raise EnvError('INBOUND_SYSTEMS: give JSON such as {"shop": {"kind": "shopify", "secret": "…"}}')
    read: dict[str, dict[str, Any]] = {}
    for code, terms in given.items():
        plain = isinstance(code, str) and len(code) <= 40 and code.replace("-", "").replace("_", "").isalnum()
        if not plain or not code.isascii() or not isinstance(terms, Mapping):
            raise EnvError("INBOUND_SYSTEMS: a system is a code of letters, digits and hyphens, and an object")
        if wrong := _wrong(terms):
            raise EnvError(f"INBOUND_SYSTEMS: {code}: {wrong}")
        asked: dict[str, Any] = (
            {"every_seconds": 300, "overlap_seconds": 60, "items": ""} if terms["kind"] in ASKED else {}
        )
        if terms["kind"] == "feed":
            asked = {"every_seconds": 3_600, "items": "", "vanished": "sold_out", "form": "json"}
            terms = {**terms, "mapping": {"at": FETCHED, **terms["mapping"]}}
        if terms["kind"] == LIVE:
            asked = {name: default for name, (default, _, _) in _LIVE_NUMBERS.items()}
            asked |= {"gives": "items", "of": code}
        read[code] = {**asked, **terms}
    gives = [terms["gives"] for terms in read.values() if terms["kind"] == LIVE]
    if len(gives) > len(set(gives)):
        raise EnvError("INBOUND_SYSTEMS: there is one live source at most of items, and one of people")
    return read


def _wrong(terms: Mapping[str, Any]) -> str:
    """What is wrong with a system, "" if nothing."""
    kind = terms.get("kind")
    if kind in ASKED:
        return _asked_wrong(terms)
    if kind == LIVE:
        return _live_wrong(terms)
    if kind not in (*SHOPS, *DESKS):
        return f"kind is one of {', '.join((*SHOPS, *DESKS, *ASKED, LIVE))}"
    known = {"kind", "secret"} | ({"mapping"} if kind in DESKS else set())
    if unknown := sorted(str(name) for name in terms.keys() - known):
        return f"a {kind} has no {unknown[0]}"
    if not isinstance(terms.get("secret"), str) or len(terms["secret"]) < 12:
        return "secret is what it signs with, of 12 characters at least"
    return mapping_problem(terms.get("mapping")) if kind in DESKS else ""


def _asked_wrong(terms: Mapping[str, Any]) -> str:
    """The same of a system that is asked."""
    texts = {"pull": {"url", "since"}, "feed": {"url"}}.get(terms["kind"], {"dsn", "table", "changed", "key"})
    of_feed = {"token", "items", "vanished", "form"}
    more = {"pull": {"token", "items", "next"}, "feed": of_feed}.get(terms["kind"], set())
    known = {"kind", "mapping", "every_seconds", *texts, *more}
    known |= set() if terms["kind"] == "feed" else {"overlap_seconds"}
    if unknown := sorted(str(name) for name in terms.keys() - known):
        return f"a {terms['kind']} has no {unknown[0]}"
    for name in sorted(texts | (more & terms.keys())):
        if not isinstance(terms.get(name), str) or not terms[name]:
            return f"{name} is a text, and needed"
    for name, least, most in (("every_seconds", 5, 86_400), ("overlap_seconds", 0, 86_400)):
        value = terms.get(name, least)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            return f"{name} is a whole number from {least} to {most}"
    if terms["kind"] == "feed":
        if terms.get("vanished", "keep") not in ("keep", "sold_out"):
            return "vanished is keep or sold_out: what becomes of an item that is not in the feed any more"
        if terms.get("form", "json") not in FORMS:
            return f"form is one of {', '.join(FORMS)}"
        mapping = terms.get("mapping")
        if not isinstance(mapping, dict) or mapping.get("what") != "items":
            return "mapping: a feed is of items"
        return mapping_problem({"at": FETCHED, **mapping})
    if terms["kind"] == "table":
        if not all(_NAME.fullmatch(part) for part in terms["table"].split(".", 1)):
            return "table is a name such as public.customers"
        if not all(_NAME.fullmatch(terms[name]) for name in ("changed", "key")):
            return "changed and key are names of columns"
        if not terms["dsn"].startswith(("postgres://", "postgresql://", "host=", "dbname=")):
            return "dsn is an address such as postgres://user:password@host/database"
    return mapping_problem(terms.get("mapping"))


def _live_wrong(terms: Mapping[str, Any]) -> str:
    """The same of a live source."""
    if unknown := sorted(
        str(name) for name in terms.keys() - {"kind", "gives", "of", "url", "token", "mapping", *_LIVE_NUMBERS}
    ):
        return f"a live source has no {unknown[0]}"
    if not isinstance(terms.get("url"), str) or "{key}" not in terms["url"]:
        return "url is an address with {key} in it, where the number of an item or a customer stands"
    if terms.get("gives", "items") not in ("items", "people"):
        return "gives is items or people"
    people = terms.get("gives") == "people"
    if "of" in terms and not (people and isinstance(terms["of"], str) and terms["of"]):
        return "of is, for people, the code of the system whose customer numbers it knows"
    if not isinstance(terms.get("token", ""), str):
        return "token is a text"
    for name, (default, least, most) in _LIVE_NUMBERS.items():
        value = terms.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            return f"{name} is a whole number from {least} to {most}"
    mapping = terms.get("mapping")
    if not isinstance(mapping, Mapping) or not mapping:
        return "mapping is an object of names and paths"
    if people and not all(isinstance(name, str) and 0 < len(name) <= 120 for name in mapping):
        return "mapping: a name is that of an attribute"
    if not people and not mapping.keys() <= {"price", "in_stock"}:
        return "mapping is an object of price and in_stock, or one of them, and paths"
    return "" if all(isinstance(path, str) and path for path in mapping.values()) else "mapping: a path is a text"
