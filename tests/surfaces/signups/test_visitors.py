"""What a browser tells of a visitor."""

import pytest

from apps.surfaces.signups.visitors import (
    country_guess,
    device_class,
    host_bare,
    language_choose,
    languages_accepted,
    page_bare,
    visit_read,
)


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", ["de-AT", "de", "en"]),
        ("en;q=0.1, fr", ["fr", "en"]),
        ("*, ar;q=0.5", ["ar"]),
        ("en;q=0", []),
        ("", []),
        ("x" * 9999, []),
    ],
)
def test_languages_come_best_first(header: str, tags: list[str]) -> None:
    assert languages_accepted(header) == tags


def test_the_nearest_language_that_is_offered_is_chosen() -> None:
    assert language_choose(["de-AT"], ["en", "de"]) == "de"
    assert language_choose(["pt"], ["en", "pt-BR"]) == "pt-BR"
    assert language_choose(["fr"], ["en", "de"]) == "en"
    assert language_choose([], []) == "en"


def test_the_clock_tells_the_country_before_the_language_does() -> None:
    assert country_guess(time_zone="Europe/Vienna", languages=["en-US"]) == "AT"
    assert country_guess(time_zone="", languages=["en", "de-CH"]) == "CH"
    assert country_guess(time_zone="", languages=["zh-Hant"]) == ""
    assert country_guess(time_zone="", languages=["en"]) == ""


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148", "phone"),
        ("Mozilla/5.0 (Linux; Android 14; Pixel 8) Mobile Safari/537.36", "phone"),
        ("Mozilla/5.0 (Linux; Android 13; SM-X700) Safari/537.36", "tablet"),
        ("Mozilla/5.0 (iPad; CPU OS 16_0 like Mac OS X) Mobile/15E148", "tablet"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "computer"),
        ("curl/8.0", ""),
        ("", ""),
    ],
)
def test_of_a_device_only_its_kind_is_kept(agent: str, device: str) -> None:
    assert device_class(agent) == device


def test_no_secret_of_an_address_is_kept() -> None:
    assert page_bare("https://user:pass@Shop.example:8443/a/b?token=secret#x") == "https://shop.example/a/b"
    assert host_bare("https://news.example/path?q=1") == "news.example"
    for bad in ("", "javascript:alert(1)", "//shop.example", "https://", "https://exa mple/", "https://[::1"):
        assert (page_bare(bad), host_bare(bad)) == ("", "")


def test_what_is_kept_of_a_visit_is_bounded() -> None:
    visit = visit_read(
        {"utm_source": "s" * 5000, "landing_page": "https://shop.example/" + "x" * 5000, "time_zone": "Nowhere/At_All"},
        user_agent="x",
        accept_language="",
        referer="",
    )

    assert (len(visit.utm["utm_source"]), len(visit.landing_page), visit.time_zone) == (100, 300, "")
