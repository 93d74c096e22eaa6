"""A brand's look on the customers' pages: enough contrast by construction, words without markup."""

import re
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from apps.decisioning.content import services
from apps.decisioning.content.models import Brand
from apps.decisioning.content.page_look import accent_fault, accent_styles, contrast, words_of
from apps.foundation.core.errors import Invalid
from tests.examples import tries
from tests.factories import make_playbook, make_user


@pytest.mark.parametrize(
    ("one", "other", "ratio"), [("#000000", "#ffffff", 21.0), ("#fff", "#ffffff", 1.0), ("#767676", "#ffffff", 4.54)]
)
def test_contrast_is_that_of_wcag(one: str, other: str, ratio: float) -> None:
    assert round(contrast(one, other), 2) == ratio
    assert contrast(one, other) == contrast(other, one)


@settings(max_examples=tries(200), deadline=None)
@given(st.integers(0, 0xFFFFFF))
def test_every_colour_that_is_taken_can_be_read_in_light_and_in_dark(number: int) -> None:
    colour = f"#{number:06x}"
    assume(not accent_fault(colour))

    light, dark = (
        dict(re.findall(r"--([\w-]+):(#\w+)", part)) for part in accent_styles(colour).split("@media", maxsplit=1)
    )

    for palette, paper in ((light, "#ffffff"), (dark, "#18211f")):
        assert contrast(palette["accent"], paper) >= 4.5
        assert contrast(palette["accent"], palette["accent-ink"]) >= 4.5
    assert contrast(light["accent-soft"], "#17211f") >= 4.5
    assert contrast(dark["accent-soft"], "#e8eeec") >= 4.5


def test_words_are_those_of_the_language_or_none() -> None:
    words = {"title": {"de": "Deins", "en": "Yours"}, "intro": {"de-AT": "Servus"}}

    assert words_of(words, "de-AT") == {"title": "Deins", "intro": "Servus"}
    assert words_of(words, "fr") == {}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "mend"),
    [
        ({"page_accent": "#ffdd00"}, "a darker one"),
        ({"page_accent": "red"}, "must be a colour"),
        ({"page_accent": "url(x)"}, "must be a colour"),
        ({"page_words": {"title": {"en": "<b>Yours</b>"}}}, "without brackets"),
        ({"page_words": {"title": {"en": " "}}}, "one line"),
        ({"page_words": {"title": {"en": "x" * 81}}}, "at most 80"),
        ({"page_words": {"slogan": {"en": "Tea"}}}, "is none of"),
        ({"page_words": {"title": {"English": "Tea"}}}, "language tag"),
    ],
)
def test_what_can_not_be_read_is_not_saved(values: dict[str, Any], mend: str) -> None:
    brand = make_playbook().brand

    with pytest.raises(Invalid) as refused:
        services.brand_update(brand_id=brand.pk, by=make_user("administrator"), **values)

    assert mend in str(refused.value.extra["problems"])
    kept = Brand.objects.get(pk=brand.pk)
    assert (kept.page_accent, kept.page_words) == ("", {})
