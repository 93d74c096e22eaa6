"""The sign-up page and its door for other sites, as strangers use and misuse them."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import redis
from django.http import HttpResponse
from django.test import Client
from pytest_django import Settings

from apps.data.consent.models import ConsentRecord, OptIn, Suppression
from apps.data.consent.selectors import gate_read
from apps.data.consent.services import suppressions_add
from apps.data.features.training import learnable
from apps.data.profiles.addresses import holders_of
from apps.data.profiles.models import Profile
from apps.foundation.core.clock import now
from apps.surfaces.signups.models import SignUp, SignUpForm
from apps.surfaces.signups.tokens import preview_token, shown_token
from tests.data.profiles.name_server import NameServer, name_server
from tests.factories import make_profile
from tests.surfaces.signups.makers import make_form, make_survey

pytestmark = pytest.mark.django_db
SHOP = "https://shop.example"


@pytest.fixture(autouse=True)
def dns(settings: Settings, clean_redis: "redis.Redis") -> Iterator[NameServer]:
    with name_server(
        {"example.org": {"MX": ["10 mx.example.org."]}, "gnail.com": {"MX": ["5 mx.gnail.com."]}}
    ) as server:
        settings.DNS_SERVERS = [server.address]
        yield server


def digests(form: SignUpForm, client: Client) -> dict[str, str]:
    page = client.get(f"/sign-up/{form.code}").content.decode()
    return dict(re.findall(r'name="(wording_\w+)" value="(\w{64})"', page))


def filled(form: SignUpForm, client: Client, **fields: Any) -> dict[str, Any]:
    """As the page posts it, by somebody who took their time."""
    return {
        "email": "ada@example.org",
        "purpose": ["marketing"],
        "shown": shown_token(form.pk, now() - timedelta(seconds=20)),
        "lang": "en",
        **digests(form, client),
        **fields,
    }


def nobody() -> bool:
    return not (SignUp.objects.exists() or Profile.objects.exists() or OptIn.objects.exists())


def post(client: Client, path: str, fields: dict[str, Any], **more: Any) -> Any:
    """As a form posts it."""
    return client.post(path, urlencode(fields, doseq=True), content_type="application/x-www-form-urlencoded", **more)


def text_of(answer: Any) -> str:
    return str(answer.content.decode())


def test_the_page_has_boxes_that_are_not_ticked_with_their_wording_and_no_cookie(client: Client) -> None:
    form = make_form()

    answer = client.get(
        "/sign-up/news?utm_source=letter&secret=1", headers={"Referer": "https://news.example/a?token=x"}
    )

    page = text_of(answer)
    assert answer.status_code == 200
    assert not answer.cookies
    assert page.count('name="purpose"') == 2
    assert " checked" not in page
    assert 'name="utm_source" value="letter"' in page
    assert 'name="referrer" value="https://news.example/"' in page
    assert 'name="landing_page" value="http://testserver/sign-up/news"' in page
    assert "secret" not in page
    assert "token=x" not in page
    assert form.words["en"]["title"] in page
    assert "default-src 'none'" in answer["Content-Security-Policy"]


def test_the_page_speaks_the_visitors_language_and_right_to_left(client: Client) -> None:
    make_form()

    german = text_of(client.get("/sign-up/news", headers={"Accept-Language": "de-AT,de;q=0.8"}))
    arabic = text_of(client.get("/sign-up/news?lang=ar"))

    assert '<html lang="de" dir="ltr">' in german
    assert "Briefe aus den Bergen" in german
    assert '<html lang="ar" dir="rtl">' in arabic


def test_who_signs_up_is_thanked_and_leads_to_the_survey(client: Client) -> None:
    form = make_form(survey=make_survey())

    answer = post(
        client,
        "/sign-up/news",
        filled(
            form,
            client,
            utm_source="letter",
            time_zone="Europe/Vienna",
            interest=["hiking", "nothing"],
            first_name="Ada",
        ),
        headers={"User-Agent": "Mozilla/5.0 (iPhone) Mobile", "Accept-Language": "de", "Sec-GPC": "1"},
    )

    made = SignUp.objects.get()
    assert answer.status_code == 303
    assert answer["Location"].startswith("/sign-up/news/thanks?lang=en&s=")
    assert (made.utm_source, made.device, made.given) == (
        "letter",
        "phone",
        {"first_name": "Ada", "language": "de", "country": "AT", "time_zone": "Europe/Vienna", "interests": ["hiking"]},
    )
    assert OptIn.objects.get().asked["marketing"]["gpc"] is True
    page = text_of(client.get(answer["Location"]))
    assert "Good to meet you." in page
    assert "/s/" in page


def test_known_and_unknown_addresses_are_answered_alike(client: Client) -> None:
    form = make_form()
    make_profile(email="grace@example.org", consent=("marketing",))

    answers = [
        post(client, "/sign-up/news", filled(form, client, email=f"{who}@example.org")) for who in ("grace", "new")
    ]

    assert [answer.status_code for answer in answers] == [303, 303]
    assert answers[0]["Location"] == answers[1]["Location"]  # without a survey nothing but the language is in it
    pages = [text_of(client.get("/sign-up/news/thanks?lang=en")) for _ in answers]
    assert pages[0] == pages[1]
    told = [{k: v for k, v in answer.headers.items() if k != "X-Request-Id"} for answer in answers]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"email": ""}, "Please write your e-mail address."),
        ({"email": "ada"}, "This is not a whole e-mail address."),
        ({"email": "ada@mailinator.com"}, "Mailboxes that vanish"),
        ({"email": "ada@nowhere.example.net"}, "No mail can be delivered there"),
        ({"email": "ada@gnail.com"}, "ada@gmail.com"),
        ({"purpose": []}, "Please choose at least one."),
        ({"purpose": ["transactional"]}, "Please choose at least one."),
        ({"wording_marketing": "0" * 64}, "The text has changed meanwhile."),
        ({"first_name": "x" * 61}, "The name is too long."),
    ],
)
def test_what_needs_mending_is_said_and_what_was_filled_in_stays(
    fields: dict[str, Any], said: str, client: Client
) -> None:
    form = make_form()

    answer = post(client, "/sign-up/news", filled(form, client, **{"interest": ["running"], **fields}))

    assert answer.status_code == 422
    assert said in text_of(answer)
    assert 'value="running" checked' in text_of(answer)
    assert nobody()


def test_who_keeps_an_address_that_looks_like_a_slip_may_and_who_takes_the_suggestion_too(client: Client) -> None:
    form = make_form()

    kept = post(client, "/sign-up/news", filled(form, client, email="ada@gnail.com", kept="ada@gnail.com"))
    taken = post(client, "/sign-up/news", filled(form, client, email="ada@exmple.org", use="ada@example.org"))

    assert (kept.status_code, taken.status_code, SignUp.objects.count()) == (303, 303, 2)


def test_programs_are_thanked_and_nothing_comes_of_it(client: Client) -> None:
    form = make_form()

    assert post(client, "/sign-up/news", filled(form, client, website="https://spam.example")).status_code == 303
    for shown in ("", "k1.x", shown_token(form.pk, now()), shown_token(form.pk + 1, now() - timedelta(seconds=20))):
        hurried = post(client, "/sign-up/news", filled(form, client, shown=shown))
        assert (hurried.status_code, "Please press the button once more" in text_of(hurried)) == (422, True)

    assert nobody()


def test_who_mends_a_field_is_not_made_to_wait_again(client: Client) -> None:
    form = make_form()
    faulty = text_of(post(client, "/sign-up/news", filled(form, client, email="ada@gnail.com")))
    [shown] = re.findall(r'name="shown" value="([^"]+)"', faulty)

    mended = post(client, "/sign-up/news", filled(form, client, use="ada@example.org", shown=shown))

    assert (mended.status_code, SignUp.objects.count()) == (303, 1)


def test_too_many_from_one_place_are_turned_away_and_of_one_address_come_to_nothing(
    client: Client, settings: Settings
) -> None:
    form = make_form()
    settings.SIGN_UPS_PER_HOUR, settings.SIGN_UPS_PER_ADDRESS = 3, 1

    statuses = [
        post(client, "/sign-up/news", filled(form, client, interest=interest)).status_code
        for interest in ([], ["hiking"], ["running"], [])
    ]

    assert statuses == [303, 303, 303, 429]
    assert SignUp.objects.count() == 1


def test_another_site_posts_here_only_if_it_may(client: Client) -> None:
    form = make_form()
    fields = {name: value for name, value in filled(form, client).items() if name != "shown"}

    refused = post(client, "/sign-up/news", fields, headers={"Origin": "https://evil.example"})
    assert (refused.status_code, nobody()) == (400, True)
    assert "Access-Control-Allow-Origin" not in refused

    taken = post(client, "/sign-up/news", fields, headers={"Origin": SHOP, "Referer": f"{SHOP}/footer?x=1"})
    assert (taken.status_code, SignUp.objects.get().landing_page) == (303, f"{SHOP}/footer")


def post_json(client: Client, data: Any, origin: str = SHOP) -> HttpResponse:
    body = data if isinstance(data, str) else json.dumps(data)
    return client.post("/sign-up/news", body, content_type="application/json", headers={"Origin": origin})  # type: ignore[return-value]


def test_json_of_an_allowed_site_is_taken_and_faults_are_told_by_field(client: Client) -> None:
    form = make_form()
    preflight = client.options("/sign-up/news", headers={"Origin": SHOP})
    assert (preflight.status_code, preflight["Access-Control-Allow-Origin"]) == (204, SHOP)
    assert preflight["Access-Control-Allow-Headers"] == "content-type"

    wrong = post_json(client, {"email": "ada@gnail.com", "purpose": []})
    told = json.loads(wrong.content)
    assert (wrong.status_code, wrong["Content-Type"]) == (422, "application/problem+json")
    assert [(error["field"], error["code"], error.get("suggestion")) for error in told["errors"]] == [
        ("email", "typo", "ada@gmail.com"),
        ("purposes", "none", None),
    ]
    assert nobody()

    good = post_json(client, {"email": "ada@example.org", "purpose": "marketing", **digests(form, client)})
    assert (good.status_code, json.loads(good.content)) == (202, {"status": "taken", "survey": ""})
    assert good["Access-Control-Allow-Origin"] == SHOP
    assert SignUp.objects.count() == 1


@pytest.mark.parametrize("body", ["[]", "nonsense", '{"email": {}}', '{"email": [1]}', "[" * 3000, '"x"'])
def test_bodies_that_are_no_form_are_refused(body: str, client: Client) -> None:
    make_form()

    assert post_json(client, body).status_code == 400
    assert post_json(client, "x" * 9000).status_code == 413
    assert nobody()


def test_json_from_a_site_that_may_not_is_refused(client: Client) -> None:
    form = make_form()

    answer = post_json(
        client, {"email": "a@example.org", "purpose": "marketing", **digests(form, client)}, "https://x.example"
    )

    assert (answer.status_code, nobody()) == (403, True)


def test_an_address_is_looked_at_as_it_is_typed(client: Client) -> None:
    make_form()

    part = post(client, "/sign-up/news/address", {"email": "ada@gnail.com"}, headers={"HX-Request": "true"})
    said = post(client, "/sign-up/news/address", {"email": "info@example.org"})

    assert 'name="use" value="ada@gmail.com"' in text_of(part)
    assert 'name="kept" value="ada@gnail.com"' in text_of(part)
    assert json.loads(said.content) | {"detail": ""} == {
        "verdict": "warn",
        "code": "role",
        "suggestion": "",
        "detail": "",
    }
    assert client.get("/sign-up/news/address?email=a@b.org").status_code == 404


def test_what_is_typed_is_never_markup(client: Client) -> None:
    form = make_form()

    page = text_of(post(client, "/sign-up/news", filled(form, client, email='"><script>alert(1)</script>')))

    assert "<script>alert" not in page


def test_a_form_that_is_not_active_is_seen_by_its_preview_alone(client: Client) -> None:
    form = make_form(active=False)
    preview = f"/sign-up/news?preview={preview_token(form.pk)}"

    assert client.get("/sign-up/news").status_code == 404
    assert post(client, "/sign-up/news", {"email": "ada@example.org"}).status_code == 404
    assert client.get("/sign-up/news?preview=k1.x").status_code == 404
    assert "This is a preview" in text_of(client.get(preview))
    assert post(client, preview, {"email": "ada@example.org", "purpose": "marketing"}).status_code == 200
    assert client.get("/sign-up/other").status_code == 404
    assert nobody()
    assert not ConsentRecord.objects.exists()


@pytest.mark.parametrize("reason", [Suppression.Reason.BOUNCE, Suppression.Reason.SPAM_TRAP])
@pytest.mark.parametrize("double", [True, False])
def test_an_address_that_bounced_or_is_a_trap_is_answered_alike_and_gets_nothing(
    client: Client, reason: Suppression.Reason, double: bool
) -> None:
    form = make_form(double=double)
    plain = post(client, "/sign-up/news", filled(form, client, email="bea@example.org"))
    suppressions_add(kind="email", values=["ada@example.org"], reason=reason)

    answer = post(client, "/sign-up/news", filled(form, client))

    assert (answer.status_code, answer["Location"].partition("&s=")[0]) == (
        plain.status_code,
        plain["Location"].partition("&s=")[0],
    )
    [person] = holders_of(kind="email", value="ada@example.org")
    for purpose, needs_consent in (("marketing", True), ("transactional", False)):  # its confirmation is the latter
        said = gate_read(profile_ids=[person], purpose=purpose, channel="email", needs_consent=needs_consent)[person]
        assert not said.allowed
    assert learnable([person]) == set()
