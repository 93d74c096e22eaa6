"""One spelling for each address, number, country and language: what is stored, compared and looked up.

Pure. What can't be understood raises Invalid where an identifier depends on it, and is `""` elsewhere.
"""

import json
import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from zoneinfo import available_timezones

import phonenumbers
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from apps.foundation.core.errors import Invalid
from apps.foundation.core.text import is_blank

from .countries import ALPHA_3, COUNTRY_NAMES, OTHER_NAMES

EMAIL_LIMIT = 254
"""Characters of an address (RFC 5321, 4.5.3.1.3: a path of 256 octets with its angle brackets)."""
EXTERNAL_ID_LIMIT = 120

# Addresses that are plainly valid, so that millions of them need no parser. A label "xn--…" and the names that are
# never delivered to go the long way. `test_the_short_way_agrees_with_the_long_one` holds the two together.
_PLAIN_EMAIL = re.compile(
    r"(?=.{6,254}\Z)(?=[^@]{1,64}@)[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*"
    r"@(?:(?![a-z0-9-]{2}--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}"
)
_NEVER_DELIVERED = tuple(f".{name}" for name in SPECIAL_USE_DOMAIN_NAMES)
# Numbers as most people write them, so that millions need no parser either; again a test holds the two ways together.
_PLAIN_PHONE = re.compile(r"\+?\(?[0-9](?:[ ().-]{0,2}[0-9]){5,16}")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]{20,100}")
_WHOLE_FLOAT = re.compile(r"(\d{1,18})\.0+")
_NOT_LETTERS = re.compile(r"[^a-z0-9]+")
_LANGUAGE = re.compile(r"([a-z]{2,3})(?:-([a-z]{4}))?(?:-([a-z]{2}|\d{3}))?", re.IGNORECASE)
_LANGUAGE_NAMES = {
    "arabic": "ar", "chinese": "zh", "croatian": "hr", "czech": "cs", "danish": "da", "deutsch": "de", "dutch": "nl",
    "english": "en", "espanol": "es", "finnish": "fi", "francais": "fr", "french": "fr", "german": "de", "greek": "el",
    "hebrew": "he", "hungarian": "hu", "italian": "it", "italiano": "it", "japanese": "ja", "korean": "ko",
    "norwegian": "no", "polish": "pl", "portuguese": "pt", "romanian": "ro", "russian": "ru", "slovak": "sk",
    "slovenian": "sl", "spanish": "es", "swedish": "sv", "turkish": "tr", "ukrainian": "uk",
}  # fmt: skip


def email_normalize(text: str) -> str:
    """An address as it is stored and looked up: ASCII, small letters, the domain in its IDNA form.

    The part before the @ is made small too: no provider of weight tells case apart there, and an opt-out must hold
    however the address was typed (ADR 0021). Only syntax is looked at, never the network.
    Raises Invalid (`email_invalid`) saying what is wrong, also for addresses that only SMTPUTF8 could reach.
    """
    text = text.strip()
    small = text.lower() if text.isascii() else ""
    if _PLAIN_EMAIL.fullmatch(small):
        domain = small.rpartition("@")[2]
        if not f".{domain}".endswith(_NEVER_DELIVERED):
            return small
    if len(text) > EMAIL_LIMIT * 2:
        raise Invalid("email_invalid", "The address is too long")
    try:
        address = validate_email(text, check_deliverability=False, allow_smtputf8=True, strict=True)
    except EmailNotValidError as error:
        raise Invalid("email_invalid", str(error)) from None
    if address.ascii_email is None:
        raise Invalid("email_invalid", "The part before the @ is not ASCII: few mail servers would take it")
    return address.ascii_email.lower()


def domain_normalize(text: str) -> str:
    """A domain as addresses below it have it; an @ before it may stand. Raises Invalid (`domain_invalid`)."""
    bare = text.strip().removeprefix("@").removesuffix(".")
    try:
        return email_normalize(f"somebody@{bare}").rpartition("@")[2]
    except Invalid:
        raise Invalid("domain_invalid", f"{bare[:80]} is no domain: write one such as shop.example") from None


def phone_normalize(text: str, country: str = "") -> str:
    """A phone number in E.164 (`+436601234567`).

    country: ISO code, for numbers written without a country's prefix. Raises Invalid (`phone_invalid`).
    """
    text = text.strip()
    if plain := _phone_plain(text, country):
        return plain
    try:
        number = phonenumbers.parse(text[:60], country or None)
    except phonenumbers.NumberParseException as error:
        raise Invalid("phone_invalid", f"Not a phone number: {error}") from None
    if not phonenumbers.is_possible_number(number):
        raise Invalid("phone_invalid", "No phone number has so many or so few digits")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


@dataclass(frozen=True, slots=True)
class _Numbering:
    """What phonenumbers knows of a country: its calling code, what goes before a number that is dialled from within
    (abroad, and inland), which numbers there may be, and of how many digits."""

    code: str
    abroad: re.Pattern[str] | None
    inland: re.Pattern[str] | None
    numbers: re.Pattern[str]
    lengths: frozenset[int]


@cache
def _numbering(country: str) -> _Numbering | None:
    known = phonenumbers.PhoneMetadata.metadata_for_region(country, None) if country else None
    if known is None or known.country_code is None or known.general_desc is None:
        return None
    main = phonenumbers.PhoneMetadata.metadata_for_region(
        phonenumbers.region_code_for_country_code(known.country_code), None
    )
    numbers = known.general_desc.national_number_pattern
    if main is None or main.general_desc is None or numbers is None:
        return None
    abroad, inland = known.international_prefix, known.national_prefix_for_parsing
    return _Numbering(
        str(known.country_code),
        re.compile(abroad) if abroad else None,
        re.compile(inland) if inland else None,
        re.compile(numbers),
        frozenset(known.general_desc.possible_length).intersection(main.general_desc.possible_length),
    )


@cache
def _main_country(code: str) -> str:
    """The main country of a calling code; "" for none."""
    countries = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(code) if code[0] != "0" else 0, ("",))
    return "" if countries[0] == phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY else countries[0]


@cache
def _called(first: str) -> _Numbering | None:
    """The numbering of the country whose calling code the first three digits of a number begin with."""
    return next((_numbering(main) for size in (1, 2, 3) if (main := _main_country(first[:size]))), None)


def _phone_plain(text: str, country: str) -> str:
    """E.164 of a number of which none of phonenumbers' questions is open; "" for any other."""
    if not _PLAIN_PHONE.fullmatch(text):
        return ""
    # a pattern takes three times as long
    digits = text.replace(" ", "").replace("-", "").replace("(", "").replace(")", "").replace(".", "")
    known = None
    if digits[0] == "+":
        digits = digits[1:]
    else:
        known = _numbering(country)
        if known is None:
            return ""
        if known.abroad is not None and (before := known.abroad.match(digits)):
            digits, known = digits[before.end() :], None  # dialled as from within, and a country's code follows
        elif digits.startswith(known.code):
            return ""
        elif known.inland is not None and (before := known.inland.match(digits)):
            digits = digits[before.end() :]
            if known.inland.groups or not known.numbers.fullmatch(digits):
                return ""
    if known is None:
        known = _called(digits[:3])
        if known is None:
            return ""
        digits = digits[len(known.code) :]
        if known.inland is not None and known.inland.match(digits):
            return ""
    return f"+{known.code}{digits}" if len(digits) in known.lengths and digits[0] != "0" else ""


def external_id_normalize(text: str) -> str:
    """A customer number of a source: trimmed, and `17850` for the `17850.0` that spreadsheets make of it.

    Case stays: some systems tell it apart. Raises Invalid (`external_id_invalid`) when nothing is left, or too much.
    """
    text = unicodedata.normalize("NFC", text.strip())
    if whole := _WHOLE_FLOAT.fullmatch(text):
        text = whole[1]
    if is_blank(text):
        raise Invalid("external_id_invalid", "The customer number is empty")
    if len(text) > EXTERNAL_ID_LIMIT or not text.isprintable():
        raise Invalid("external_id_invalid", f"A customer number has at most {EXTERNAL_ID_LIMIT} printable characters")
    return text


def external_id_scoped(source: str, text: str) -> str:
    """A customer number with the source that gave it: `shop:17850`. Two shops may both have a customer 17850.

    Raises Invalid.
    """
    return f"{source}:{external_id_normalize(text)}"


def push_normalize(text: str) -> str:
    """A browser that takes messages, as one spelling of the JSON that it gives (W3C Push API, `PushSubscription`).

    Raises Invalid (`push_invalid`). That its keys are good is seen by who writes to it.
    """
    try:
        said = json.loads(text[:4_000])
        endpoint, keys = said["endpoint"], said["keys"]
        kept = {"endpoint": endpoint, "keys": {name: keys[name].rstrip("=") for name in ("auth", "p256dh")}}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Invalid("push_invalid", "Not a subscription as browsers give it, with endpoint and keys") from None
    plain = isinstance(endpoint, str) and len(endpoint) <= 500 and endpoint.isascii() and endpoint.isprintable()
    if not plain or not endpoint.startswith(("https://", "http://")):
        raise Invalid("push_invalid", "The endpoint of a subscription is a web address")
    if not all(_BASE64URL.fullmatch(value) for value in kept["keys"].values()):
        raise Invalid("push_invalid", "The keys of a subscription are base64url")
    return json.dumps(kept, separators=(",", ":"), sort_keys=True)


def name_fold(text: str) -> str:
    """Small ASCII letters and digits, single spaces between: `Côte d’Ivoire` → `cote divoire`."""
    plain = unicodedata.normalize("NFKD", text.replace("’", "'").replace("'", "")).encode("ascii", "ignore").decode()
    return _NOT_LETTERS.sub(" ", plain.lower().replace("&", " and ")).strip()


_BY_NAME = {name_fold(name): code for code, name in COUNTRY_NAMES.items()} | OTHER_NAMES


def country_code(text: str) -> str:
    """The ISO 3166-1 code of a country given by code or English name; `""` if it is none that we know."""
    return _country_code(text) if len(text) <= 100 else ""


@lru_cache(maxsize=4096)
def _country_code(text: str) -> str:
    upper = text.strip().upper()
    if upper in COUNTRY_NAMES:
        return upper
    if upper in ALPHA_3:
        return ALPHA_3[upper]
    folded = name_fold(text)
    return _BY_NAME.get(folded) or _BY_NAME.get(folded.replace("st ", "saint ", 1)) or ""


def language_tag(text: str) -> str:
    """A language as a BCP 47 tag in its usual case (`pt-BR`, `zh-Hant-TW`); `""` if it is none.

    Takes `pt_br`, `en-US.UTF-8` and the English names of common languages too.
    """
    return _language_tag(text) if len(text) <= 100 else ""


@lru_cache(maxsize=4096)
def _language_tag(text: str) -> str:
    text = text.strip()
    if by_name := _LANGUAGE_NAMES.get(name_fold(text)):
        return by_name
    match = _LANGUAGE.fullmatch(text.partition(".")[0].partition("@")[0].replace("_", "-"))
    if match is None or match[1].lower() == "nan":
        return ""
    parts = [match[1].lower(), (match[2] or "").title(), (match[3] or "").upper()]
    return "-".join(part for part in parts if part)


@lru_cache(maxsize=1)
def _zones() -> dict[str, str]:
    return {zone.lower(): zone for zone in available_timezones()}


def time_zone_name(text: str) -> str:
    """The IANA name of a time zone, in its own case; `""` if there is none of that name."""
    return _zones().get(text.strip().lower().replace(" ", "_"), "")


def text_clean(text: str) -> str:
    """Text for people on one line: white space made single spaces, control characters gone; `""` if blank.

    What it says is left alone, be it a formula or a template's tag: it is data, and whoever prints it escapes it.
    """
    if not text.isprintable() or "  " in text:
        kept = "".join(c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cs"))
        text = " ".join(kept.split())
    text = text.strip()
    return "" if is_blank(text) else text
