"""The language and the time zone of a customers' page: staff's pages stay in English and UTC."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from babel import Locale, UnknownLocaleError
from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone, translation
from django.utils.translation import get_language_from_request, get_supported_language_variant, pgettext_lazy

from apps.data.consent.models import Preference
from apps.data.consent.preferences import zones_read
from apps.data.profiles.models import Profile

DAY = pgettext_lazy("date: see Django's «date» filter; a day such as 22 November 2026", "j F Y")


@dataclass(frozen=True, slots=True)
class Tongue:
    """A language of these pages. title: its own name."""

    code: str
    title: str
    current: bool


def tongues() -> list[Tongue]:
    """The languages that the page can be read in."""
    now = translation.get_language()
    return [Tongue(code, title, code == now) for code, title in settings.LANGUAGES]


def supported(tag: str) -> str:
    """The language of these pages that is nearest to a tag; "" when none is near."""
    try:
        return get_supported_language_variant(tag.lower()) if tag else ""
    except LookupError:
        return ""


def language_of_person(profile_id: int) -> str:
    """The language that a person chose, else the one their profile says; "" when neither is one of these pages'."""
    chosen = Preference.objects.filter(pk=profile_id).values_list("language", flat=True).first() or ""
    known = Profile.objects.filter(pk=profile_id).values_list("language", flat=True).first() or ""
    return supported(chosen) or supported(known)


def country_name(code: str) -> str:
    """What a country (ISO 3166-1, two letters) is called in the page's language; an unknown code stays as it is."""
    try:
        names = Locale.parse(translation.get_language(), sep="-").territories
    except (UnknownLocaleError, ValueError):
        names = Locale.parse("en").territories
    return str(names.get(code, code))


@contextmanager
def spoken(request: HttpRequest, profile_id: int | None = None) -> Iterator[str]:
    """The page's language: `?lang=`, else the person's, else the browser's, else English; in the person's time zone."""
    asked = supported(request.GET.get("lang", "")[:20])
    own = language_of_person(profile_id) if profile_id is not None and not asked else ""
    language = asked or own or get_language_from_request(request)
    zone = zones_read(profile_ids=[profile_id]).get(profile_id) if profile_id is not None else None
    with translation.override(language), timezone.override(zone):
        yield language
