"""SMS and push as they are written: the sources that they become, what is told of their length, and what goes out."""

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.decisioning.content import short_messages as short
from apps.decisioning.content.models import Template
from apps.decisioning.content.services import template_create, template_version_create
from apps.decisioning.content.short_messages import Push
from apps.decisioning.playbooks.errors import PlaybookInvalid
from apps.foundation.core.errors import Invalid
from apps.foundation.core.gsm import segments_of
from tests.factories import make_playbook, make_user

SMS = 'Hi {{ profile.first_name | fallback("you") }}, tea & more: 10% < 20%'
PUSH = Push("New: [[ brand.name ]]", 'Hi {{ profile.first_name | fallback("you") }}, look\nat it', "https://shop.example/new?a=1&b=2",
            "https://shop.example/tea.png")  # fmt: skip


@pytest.mark.parametrize(
    ("text", "encoding", "count", "places", "room", "beyond"),
    [
        ("", "GSM-7", 1, 0, 160, ""),
        ("a" * 160, "GSM-7", 1, 160, 160, ""),
        ("a" * 161, "GSM-7", 2, 161, 306, ""),
        ("€" * 80, "GSM-7", 1, 160, 160, ""),
        ("a’b’", "UCS-2", 1, 4, 70, "’"),
        ("ы" * 71, "UCS-2", 2, 71, 134, "ы"),
        ("😀" * 35, "UCS-2", 1, 70, 70, "😀"),
    ],
)
def test_places_and_room_are_told_with_what_makes_segments_short(
    text: str, encoding: str, count: int, places: int, room: int, beyond: str
) -> None:
    found = segments_of(text)
    assert (found.encoding, found.count, found.places, found.room, found.beyond) == (
        encoding, count, places, room, beyond,
    )  # fmt: skip


def test_what_is_written_of_an_sms_comes_back_and_ends_with_the_link_to_leave() -> None:
    sources = short.sms_sources(f"  {SMS}\r\n")
    assert sources["text"] == f"{SMS}\n{{{{ links.unsubscribe }}}}\n"
    assert short.sms_text(sources["text"]) == SMS
    own = "Leave: {{ links.unsubscribe }} or answer STOP"
    assert short.sms_sources(own)["text"] == f"{own}\n"
    assert short.sms_text(f"{own}\n") == own


@pytest.mark.parametrize(
    "push", [PUSH, Push("T", "B"), Push("T", "Two\nlines", "https://shop.example/"), Push("T", "B", "", PUSH.image)]
)
def test_what_is_written_of_push_comes_back_and_is_what_a_notification_shows(push: Push) -> None:
    sources = short.push_sources(push)
    assert short.push_written(**sources) == push
    leave = "https://shop.example/u/x"
    rendered = sources["text"].replace("{{ links.unsubscribe }}", leave)
    assert short.push_said(rendered, passed_over=[leave]) == (" ".join(push.body.split()), push.link)


@pytest.mark.django_db
@pytest.mark.parametrize(("channel", "sources"), [("sms", short.sms_sources(SMS)), ("push", short.push_sources(PUSH))])
def test_a_short_template_needs_no_postal_address_in_its_text_and_one_for_e_mail_does(
    channel: str, sources: dict[str, Any]
) -> None:
    by = make_user("engineer")
    template = template_create(by=by, code="short", name="Short", channel=channel, **sources)
    assert (template.channel, template.versions.count()) == (channel, 1)
    with pytest.raises(Invalid) as refused:
        template_version_create(template_id=template.pk, by=by, text="Hi {{ profile.first_name }}")
    assert {one["token"] for one in refused.value.extra["problems"]} >= {"{{ links.unsubscribe }}"}
    with pytest.raises(Invalid) as letter:
        template_create(by=by, code="letter", name="Letter", **sources)
    assert [one["token"] for one in letter.value.extra["problems"]] == ["[[ brand.postal_address ]]"]


@pytest.mark.django_db
def test_a_short_template_goes_out_by_its_channel_alone() -> None:
    template = template_create(by=make_user("engineer"), code="t", name="Text", channel="sms", **short.sms_sources(SMS))
    with pytest.raises(PlaybookInvalid) as refused:
        make_playbook(template=template, slots={}, channel="email")
    assert "is written for SMS" in str(refused.value.extra)
    assert make_playbook(template=template, slots={}, channel="sms").template == template


def _ask(client: Client, channel: str, **fields: Any) -> dict[str, Any]:
    said = {"preview_channel": channel, "preview_language": "en", "preview_persona": "anna", **fields}
    answer = client.post(reverse("admin:content_template_preview"), said)
    assert answer.status_code == 200
    return dict(json.loads(answer.content))


@pytest.mark.django_db
def test_the_editor_tells_the_length_of_an_sms_as_it_is_paid_for(client: Client) -> None:
    client.force_login(make_user("engineer"))

    plain = _ask(client, "sms", text="Hi {{ profile.first_name | fallback('you') }}")
    assert plain["problems"] == []
    assert plain["text"].startswith("Hi Anna\nhttp")
    places = len(plain["text"])
    assert plain["size"]["text"] == f"1 segment: {places} of 160 characters, GSM-7."
    assert "Hi Anna" in plain["html"]
    curly = _ask(client, "sms", text="Anna’s tea")
    assert "UCS-2. Not in the alphabet of SMS, which makes segments of 70 instead of 160: ’" in curly["size"]["text"]
    long = _ask(client, "sms", text="a" * 1_000)
    assert (long["size"]["over"], long["size"]["share"]) == (True, 100 * (1_001 + places - 8) // long_room(places))
    assert "At most 6 segments go out" in long["size"]["text"]
    empty = _ask(client, "sms", text="{{ profile.first_name }}")
    assert (empty["html"], empty["size"]) == ("", None)
    assert empty["problems"]


def long_room(places: int) -> int:
    """The room of the segments that 1,000 letters and the link take."""
    return -(-(1_001 + places - 8) // 153) * 153


@pytest.mark.django_db
def test_the_editor_shows_a_notification_as_a_lock_screen_does(client: Client) -> None:
    client.force_login(make_user("engineer"))
    written = {"title": "New tea", "body": "Look at it", "link": PUSH.link, "image": PUSH.image}

    shown = _ask(client, "push", **written)
    assert shown["problems"] == []
    assert shown["text"] == f"New tea\nLook at it\n{PUSH.link}\n{PUSH.image}"
    assert f'src="{PUSH.image}"' in shown["html"]
    assert shown["size"] == {
        "share": 8, "over": False, "text": "Title 7 of about 40, text 10 of about 120 characters shown.",
    }  # fmt: skip
    long = _ask(client, "push", **{**written, "title": "t" * 41, "body": "b" * 121})
    assert long["size"]["text"].endswith("Some lock screens cut the title and the text.")
    assert _ask(client, "push", title="<b>x</b>", body="y")["html"].count("&lt;b&gt;x") == 2
    assert [one["text"] for one in _ask(client, "push", title="", body="y")["problems"]] == ["title: is empty"]


@pytest.mark.django_db
def test_templates_are_added_and_changed_by_the_form_of_their_channel(client: Client) -> None:
    client.force_login(make_user("engineer"))
    add = reverse("admin:content_template_add")
    assert b'name="mjml"' in client.get(add).content
    page = client.get(f"{add}?channel=sms").content
    assert (b'name="mjml"' in page, b'name="text"' in page) == (False, True)

    refused = client.post(
        f"{add}?channel=push", {"code": "p", "name": "P", "title": "T", "body": "see https://shop.example/"}
    )
    assert b"put it into Link" in refused.content
    made = client.post(
        f"{add}?channel=push",
        {"code": "p", "name": "P", "title": "T", "body": "B", "link": PUSH.link, "image": PUSH.image},
    )
    assert made.status_code == 302, made.content
    template = Template.objects.get()
    assert template.channel == "push"
    change = reverse("admin:content_template_change", args=[template.pk])
    form = client.get(change).context["adminform"].form
    assert {name: form[name].initial for name in ("title", "body", "link", "image")} == {
        "title": "T", "body": "B", "link": PUSH.link, "image": PUSH.image,
    }  # fmt: skip
    saved = client.post(change, {"name": "P", "base": 1, "title": "T", "body": "Other", "link": "", "image": ""})
    assert saved.status_code == 302
    assert short.push_written(
        **{k: getattr(template.versions.first(), k) for k in ("subject", "mjml", "text")}
    ) == Push("T", "Other")
