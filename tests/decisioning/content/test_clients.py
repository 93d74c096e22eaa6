"""What clients don't show: the table against measurements, and what is found in a message."""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from apps.decisioning.content.clients import CLIENTS, FEATURES, Feature, client_notes, clients_joined

MEASURED = Path(settings.BASE_DIR).parent / "shared" / "data" / "caniemail_features.json.gz"
measured = pytest.mark.skipif(not MEASURED.exists(), reason=f"no measurements here: {MEASURED.name} is missing")


@cache
def support() -> dict[str, Any]:
    with gzip.open(MEASURED) as file:
        return {entry["slug"]: entry["stats"] for entry in json.load(file)}


def newest(slug: str, client: str) -> str:
    """y, n, a (in part) or u (unknown) for the version of a client that was measured last."""
    _, family, platform = CLIENTS[client]
    results = support()[slug].get(family, {}).get(platform, {})
    return str(list(results.values())[-1])[0] if results else "u"


@measured
@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.slug)
def test_the_table_says_what_was_measured(feature: Feature) -> None:
    answers = {client: newest(feature.slug, client) for client in CLIENTS}

    assert feature.lacking == {client for client, answer in answers.items() if answer == "n"}
    assert feature.partly <= {client for client, answer in answers.items() if answer == "a"}


@pytest.mark.parametrize(
    ("html", "slug", "told"),
    [
        (
            "<td style=\"background:#fff url('https://shop.example/a.png')\">",
            "css-background-image",
            "Outlook on Windows shows no background image.",
        ),
        ('<td style="border-radius:4px">', "css-border-radius", "Outlook on Windows shows square corners."),
        (
            "<style>@media (prefers-color-scheme: dark) { a { color: red } }</style>",
            "css-at-media-prefers-color-scheme",
            "Gmail, Yahoo and Outlook on Windows don't use the message's own dark colours.",
        ),
        ('<img src="https://shop.example/a.webp?x=1">', "image-webp", "Outlook on Windows shows no WebP picture."),
        (
            '<img src="https://shop.example/a.GIF">',
            "image-gif",
            "Outlook on Windows may show only the first picture of an animation.",
        ),
        (
            '<td style="box-shadow: 0 0 2px #000">',
            "css-box-shadow",
            "Yahoo, Gmail on the web and Outlook on Windows show no shadow; Gmail's apps in part.",
        ),
    ],
)
def test_what_a_message_relies_on_is_told(html: str, slug: str, told: str) -> None:
    notes = {note.slug: note.text for note in client_notes(html)}

    assert notes == {slug: told}


@pytest.mark.parametrize(
    "html",
    [
        "<p>Hello</p>",
        '<td style="border-radius:0">',
        '<!--[if mso | IE]><table style="border-radius:4px"><![endif]-->',
        "<p>The position: relative to the sun, of a gif.</p>",
        '<a href="https://shop.example/a.webp">x</a>',
    ],
)
def test_what_every_client_shows_is_not_told(html: str) -> None:
    assert client_notes(html) == []


def test_a_background_that_mjml_writes_for_outlook_too_is_not_told() -> None:
    style = '<td style="background:url(https://shop.example/a.png)">'
    vml = '<!--[if mso | IE]><v:rect><v:fill src="https://shop.example/a.png" /></v:rect><![endif]-->'

    assert client_notes(style + vml) == []
    assert [note.slug for note in client_notes(style)] == ["css-background-image"]


def test_clients_are_named_by_their_family_where_all_of_it_is_meant() -> None:
    assert clients_joined(frozenset()) == ""
    assert clients_joined(frozenset({"yahoo-web"})) == "Yahoo on the web"
    assert clients_joined(frozenset({"gmail-ios", "gmail-android"})) == "Gmail's apps"
    assert clients_joined(frozenset(CLIENTS)) == "Gmail, Apple Mail, Yahoo and Outlook"
