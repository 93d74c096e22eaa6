"""One spelling for each address, number, country and language."""

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from apps.data.profiles.countries import ALPHA_3, COUNTRY_NAMES, OTHER_NAMES
from apps.data.profiles.normalize import (
    _PLAIN_EMAIL,
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
