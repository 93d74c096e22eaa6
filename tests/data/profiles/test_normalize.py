"""One spelling for each address, number, country and language."""

import phonenumbers
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apps.data.profiles.countries import ALPHA_3, COUNTRY_NAMES, OTHER_NAMES
from apps.data.profiles.normalize import (
    _PLAIN_EMAIL,
    _phone_plain,
    country_code,
    email_normalize,
    external_id_normalize,
    external_id_scoped,
    language_tag,
    name_fold,
    phone_normalize,
    text_clean,
    time_zone_name,
)
from apps.foundation.core.errors import Invalid
from apps.foundation.core.text import is_blank
from tests.examples import tries


@pytest.mark.parametrize(
    ("given_text", "wanted"),
    [
        ("Anna.Berg@Example.COM", "anna.berg@example.com"),
        ("  a+b@shop.example.org ", "a+b@shop.example.org"),
        ("x@münchen.de", "x@xn--mnchen-3ya.de"),
        ("o'hara@example.com", "o'hara@example.com"),
    ],
)
def test_an_address_has_one_spelling(given_text: str, wanted: str) -> None:
    assert email_normalize(given_text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "a@b", "a..b@c.de", ".a@c.de", "a@c..de", "a@-c.de", "a b@c.de", "Bob <b@c.de>", "a@c.de\nBcc: x@y.de",
        "a@localhost", "a@foo.test", "a@x.invalid", "=?utf-8?q?x=0D=0ABcc=3Aa@b?=", "用户@a.com", "a@[127.0.0.1]",
        "\"a b\"@c.de", "a" * 65 + "@c.de", "a@" + "b." * 130 + "de", "a" * 10_000_000, "a\0@c.de",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as error:
        email_normalize(text)
    assert error.value.code == "email_invalid"
    assert error.value.message


_piece = st.text("abz019.-_+xn", min_size=1, max_size=12)


@given(local=_piece, domain=_piece, top=st.sampled_from(["de", "com", "co.uk", "test", "x1", "c-m", "local", "onion"]))
@example(local="a", domain="a--b", top="de")
@example(local="a", domain="ab--c", top="de")
@example(local="a", domain="xn--a", top="de")
def test_the_short_way_agrees_with_the_long_one(local: str, domain: str, top: str) -> None:
    text = f"{local}@{domain}.{top}"
    try:
        wanted = validate_email(text, check_deliverability=False, strict=True).ascii_email
    except EmailNotValidError:
        with pytest.raises(Invalid):
            email_normalize(text)
    else:
        assert email_normalize(text) == wanted


@given(st.emails())
def test_an_address_stays_as_it_is_the_second_time(text: str) -> None:
    try:
        once = email_normalize(text)
    except Invalid:
        return
    assert email_normalize(once) == once
    assert once.isascii()
    assert "\n" not in once


def test_the_short_way_is_taken_for_plain_addresses() -> None:
    assert _PLAIN_EMAIL.fullmatch("customer-12346@example.com")


_REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)


def _numbers_of(region: str, code: int) -> list[str]:
    """An example of each kind of number that a country has, without its prefixes."""
    known = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    assert known is not None
    kinds = (known.fixed_line, known.mobile, known.toll_free, known.premium_rate, known.voip, known.uan)
    return [kind.example_number for kind in kinds if kind is not None and kind.example_number]


@st.composite
def _phones(draw: st.DrawFn) -> tuple[str, str]:
    """A number as somebody may write it, rightly or nearly, with or without prefixes; and a country."""
    region = draw(st.sampled_from(_REGIONS))
    code = phonenumbers.country_code_for_region(region)
    number = draw(st.sampled_from([*_numbers_of(region, code), "12345678"]) | st.text("0123456789", max_size=13))
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(number)))
        number = number[:place] + draw(st.sampled_from("0123456789")) + number[place + draw(st.integers(0, 1)) :]
    inland = phonenumbers.ndd_prefix_for_region(region, True) or ""
    number = draw(st.sampled_from(["", "0", "00", "1", "8", inland, str(code), f"+{code}", f"+{code}0", "+"])) + number
    between = st.sampled_from(["", "", "", " ", "-", " (", ") ", ".", "/"])
    return "".join(f"{digit}{draw(between)}" for digit in number), draw(st.sampled_from(["", region, "US", "DE"]))


@settings(max_examples=tries(1_000), deadline=None)
@given(_phones())
@example(("+061234267", "CG"))
@example(("+49 (0) 151 23456789", "DE"))
@example(("0039 06 12345678", "IT"))
@example(("000 44 7700 900123", "DE"))
@example(("06 12345678", "IT"))
def test_the_short_way_of_phones_agrees_with_the_long_one(drawn: tuple[str, str]) -> None:
    text, country = drawn
    if plain := _phone_plain(text, country):
        number = phonenumbers.parse(text, country or None)
        assert phonenumbers.is_possible_number(number)
        assert phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) == plain
        assert phone_normalize(text, country) == plain


@pytest.mark.parametrize(
    ("text", "country", "wanted"),
    [
        ("0151 23456789", "DE", "+4915123456789"),
        ("+49 151 23456789", "", "+4915123456789"),
        ("079 123 45 67", "CH", "+41791234567"),
        ("(212) 555-0123", "US", "+12125550123"),
        ("612 345 678", "ES", "+34612345678"),
        ("+44 7700 900123", "FR", "+447700900123"),
        ("06 12345678", "IT", ""),  # the zero belongs to the number there
        ("0044 7700 900123", "DE", "+447700900123"),
        ("011 44 7700 900123", "US", "+447700900123"),
        ("0000 7700 900123", "DE", ""),
        ("0049 (0) 151 23456789", "DE", ""),
        ("+49 (0) 151 23456789", "DE", ""),
        ("0151 23456789 ext. 7", "DE", ""),
    ],
)
def test_the_short_way_of_phones_is_taken_for_plain_ones(text: str, country: str, wanted: str) -> None:
    assert _phone_plain(text, country) == wanted


def test_every_country_is_found_by_its_code_and_its_name() -> None:
    assert len(COUNTRY_NAMES) == 249
    for code, name in COUNTRY_NAMES.items():
        assert country_code(code.lower()) == code
        assert country_code(f" {name} ") == code
    assert set(OTHER_NAMES.values()) | set(ALPHA_3.values()) <= set(COUNTRY_NAMES)
    assert all(name_fold(name) == name for name in OTHER_NAMES)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("EIRE", "IE"), ("USA", "US"), ("RSA", "ZA"), ("UK", "GB"), ("Côte d’Ivoire", "CI"), ("St Lucia", "LC"),
        ("Antigua and Barbuda", "AG"), ("Channel Islands", ""), ("Unspecified", ""), ("", ""), ("12", ""),
    ],
)  # fmt: skip
def test_countries_by_other_names(text: str, wanted: str) -> None:
    assert country_code(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("de", "de"), ("pt_br", "pt-BR"), ("en-US.UTF-8", "en-US"), ("zh-hant-tw", "zh-Hant-TW"), ("German", "de"),
        ("es-419", "es-419"), ("nan", ""), ("None", ""), ("{{7*7}}", ""), ("", ""),
    ],
)  # fmt: skip
def test_languages(text: str, wanted: str) -> None:
    assert language_tag(text) == wanted


def test_phone_numbers() -> None:
    assert phone_normalize("0660 123 45 67", "AT") == "+436601234567"
    assert phone_normalize("+44 20 7946 0018") == "+442079460018"
    for text in ("", "abc", "12", "0660 1234567", "9" * 1000):
        with pytest.raises(Invalid):
            phone_normalize(text)


def test_customer_numbers() -> None:
    assert external_id_normalize(" 17850.0 ") == "17850"
    assert external_id_normalize("A.0") == "A.0"
    assert external_id_scoped("shop", "7") == "shop:7"
    for text in ("", "nan", "x" * 121, "a\nb", "a\0b"):
        with pytest.raises(Invalid):
            external_id_normalize(text)


def test_time_zones() -> None:
    assert time_zone_name("europe/vienna") == "Europe/Vienna"
    assert time_zone_name("Mars/Olympus") == ""


def test_text_stays_data_on_one_line() -> None:
    for text in ("=?utf-8?q?x=0D=0ABcc=3Aa@b?=", "{{7*7}}", '=HYPERLINK("http://x")'):
        assert text_clean(text) == text
    assert text_clean("Anna\r\nBcc: a@b.de\0") == "Anna Bcc: a@b.de"


@given(st.text())
def test_clean_text_is_one_line_and_blank_only_when_empty(text: str) -> None:
    clean = text_clean(text)
    assert clean == text_clean(clean)
    assert "\n" not in clean
    assert "\r" not in clean
    assert "\0" not in clean
    assert clean == "" or not is_blank(clean)
