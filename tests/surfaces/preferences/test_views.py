"""The customers' pages: choices by a signed link, unsubscribing per RFC 8058, and what strangers send."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from apps.data.consent.links import LinkScope, link_read, preferences_url, trial_link_url, unsubscribe_url
from apps.data.consent.models import Channel, ConsentRecord, ConsentState, Suppression
from apps.data.consent.services import suppression_add
from apps.data.profiles.models import Profile
from apps.foundation.core.signing import BadToken
from tests.examples import tries
from tests.factories import make_profile
from tests.surfaces.ledger import make_message

pytestmark = pytest.mark.django_db
RFC_EXAMPLES = Path(__file__).parents[4] / "shared/data/rfc/rfc8058_examples.json"
ONE_CLICK = "List-Unsubscribe=One-Click"
PathOf = Callable[[Profile], str]
FORM = "application/x-www-form-urlencoded"


def preferences_path(profile: Profile, message_id: UUID | None = None) -> str:
    return urlsplit(preferences_url(profile_id=profile.pk, message_id=message_id or uuid4())).path


def unsubscribe_path(profile: Profile, message_id: UUID | None = None) -> str:
    return urlsplit(unsubscribe_url(profile_id=profile.pk, message_id=message_id or uuid4())).path


def granted(profile: Profile) -> dict[str, bool]:
    rows = ConsentState.objects.filter(profile=profile, channel=Channel.EMAIL)
    return dict(rows.values_list("purpose_id", "granted"))


def everything() -> tuple[int, int, int]:
    """Counts that any change of anybody's choices moves."""
    return ConsentRecord.objects.count(), ConsentState.objects.count(), Suppression.objects.count()


def test_page_shows_the_choices_and_stores_nothing_in_the_browser(client: Client) -> None:
    profile = make_profile(email="carla@example.com", consent=("marketing",))

    response = client.get(preferences_path(profile))

    page = response.content.decode()
    assert response.status_code == 200
    assert "c•••@example.com" in page
    assert "carla" not in page
    assert page.count('aria-checked="true"') == 2  # one purpose, and e-mail as a way
    assert page.count('aria-checked="false"') == 3
    assert "My orders and account" in page
    assert not response.cookies
    assert response["Referrer-Policy"] == "no-referrer"
    assert response["Cache-Control"] == "no-store"
    assert response["X-Robots-Tag"] == "noindex, nofollow"
    assert "script-src 'self';" in response["Content-Security-Policy"]
    assert "<style" not in page
    assert "style=" not in page


def test_choice_is_saved_by_a_plain_form_and_can_be_undone(client: Client) -> None:
    profile = make_profile(consent=("marketing",))
    path = preferences_path(profile)

    response = client.post(path, "do=withdraw&purpose=marketing", content_type=FORM)

    assert response.status_code == 303
    assert response["Location"] == f"{path}?done=withdraw&consent=marketing%3Aemail"
    assert granted(profile) == {"marketing": False}
    page = client.get(response["Location"]).content.decode()
    assert "Done: News and offers is off from now on." in page
    assert 'id="undo-button"' in page

    client.post(path, "do=agree&purpose=marketing", content_type=FORM)

    assert granted(profile) == {"marketing": True}
    methods = ConsentRecord.objects.filter(profile=profile).order_by("id").values_list("action", "method")
    assert list(methods) == [("grant", "api"), ("withdraw", "preferences"), ("grant", "preferences")]


def test_choice_by_htmx_answers_with_the_changed_parts_only(client: Client) -> None:
    profile = make_profile()

    response = client.post(
        preferences_path(profile), "do=agree&purpose=tracking", content_type=FORM, headers={"HX-Request": "true"}
    )

    page = response.content.decode()
    assert response.status_code == 200
    assert "<html" not in page
    assert "Done: Opens and clicks is on from now on." in page
    assert 'hx-swap-oob="innerHTML"' in page
    assert granted(profile) == {"tracking": True}


def test_leaving_everything_and_its_undo_bring_back_only_what_was_on(client: Client) -> None:
    profile = make_profile(consent=("marketing", "personalisation"))
    path = preferences_path(profile)

    response = client.post(path, "do=leave", content_type=FORM)

    assert granted(profile) == dict.fromkeys(("marketing", "personalisation", "tracking", "profiling"), False)
    assert response["Location"] == f"{path}?done=leave&consent=marketing%3Aemail&consent=personalisation%3Aemail"
    assert "you left everything" in client.get(response["Location"]).content.decode()

    client.post(path, "do=agree&purpose=marketing&purpose=personalisation", content_type=FORM)

    assert granted(profile) == {"marketing": True, "personalisation": True, "tracking": False, "profiling": False}


def test_double_clicks_are_harmless(client: Client) -> None:
    profile = make_profile(consent=("marketing",))
    path = preferences_path(profile)

    for _ in range(2):
        client.post(path, "do=withdraw&purpose=marketing", content_type=FORM)
        client.post(path, "do=leave", content_type=FORM)

    assert ConsentRecord.objects.filter(profile=profile, purpose="marketing", channel="email").count() == 2
    assert not any(granted(profile).values())


@pytest.mark.parametrize(
    "body",
    [
        "",
        "do=agree",
        "do=drop&purpose=marketing",
        "do=agree&purpose=transactional",
        "purpose=marketing",
        "do=agree&purpose=%00",
        "\x00\xff",
        "&" * 200,
    ],
)
def test_strange_bodies_change_nothing(client: Client, body: str) -> None:
    profile = make_profile(consent=("marketing",))
    before = everything()

    response = client.post(preferences_path(profile), body, content_type=FORM)

    assert response.status_code == 400
    assert "Nothing was changed" in response.content.decode()
    assert everything() == before


def test_a_confirmation_that_does_not_hold_is_not_shown(client: Client) -> None:
    profile = make_profile(consent=("marketing",))

    page = client.get(preferences_path(profile) + "?done=withdraw&consent=marketing:email").content.decode()

    assert "Done:" not in page
    assert 'id="undo-button"' not in page


def test_page_says_when_the_address_is_suppressed(client: Client) -> None:
    profile = make_profile(email="left@example.com", consent=("marketing",))
    suppression_add(kind="email", value="left@example.com", reason=Suppression.Reason.BOUNCE)

    assert "At present nothing at all is sent" in client.get(preferences_path(profile)).content.decode()


def test_page_says_why_the_message_came(client: Client) -> None:
    message = make_message(tier="category")

    page = client.get(preferences_path(message.profile, message.pk)).content.decode()

    assert "Why you got these messages" in page
    assert "Win-back" in page
    assert "favourites from a kind of product that you buy" in page
    assert "because you agreed to “News and offers”" in page


def test_somebody_elses_message_explains_nothing(client: Client) -> None:
    message = make_message(tier="category")

    page = client.get(preferences_path(make_profile(), message.pk)).content.decode()

    assert "Why you got these messages" not in page


@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_looking_at_the_unsubscribe_page_changes_nothing(client: Client, method: str) -> None:
    profile = make_profile(consent=("marketing",))
    before = everything()

    response = getattr(client, method)(unsubscribe_path(profile))

    assert response.status_code == (204 if method == "options" else 200)
    assert everything() == before
    assert not response.cookies


@pytest.mark.parametrize("path", [unsubscribe_path, preferences_path])
@pytest.mark.parametrize("method", ["put", "patch", "delete", "trace"])
def test_other_methods_are_refused(client: Client, method: str, path: PathOf) -> None:
    before = everything()

    response = getattr(client, method)(path(make_profile()))

    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD, POST, OPTIONS"
    assert everything() == before


def test_one_click_withdraws_the_purpose_of_its_message() -> None:
    message = make_message(purpose="personalisation", consent=("marketing", "personalisation"))
    strict = Client(enforce_csrf_checks=True)

    response = strict.post(unsubscribe_path(message.profile, message.pk), ONE_CLICK, content_type=FORM)

    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain")
    assert not response.cookies
    assert granted(message.profile) == {"marketing": True, "personalisation": False}
    record = ConsentRecord.objects.filter(profile=message.profile).latest("id")
    assert (record.action, record.method, record.channel) == ("withdraw", "one_click", Channel.EMAIL)
    assert str(message.pk) in record.source


def test_one_click_of_an_unknown_message_withdraws_marketing(client: Client) -> None:
    profile = make_profile(consent=("marketing", "tracking"))

    client.post(unsubscribe_path(profile), ONE_CLICK, content_type=FORM)

    assert granted(profile) == {"marketing": False, "tracking": True}


def test_one_click_twice_is_one_withdrawal(client: Client) -> None:
    profile = make_profile(consent=("marketing",))
    path = unsubscribe_path(profile)

    answers = [client.post(path, ONE_CLICK, content_type=FORM).status_code for _ in range(3)]

    assert answers == [200, 200, 200]
    assert ConsentRecord.objects.filter(profile=profile, action="withdraw").count() == 1


def test_one_click_in_multipart(client: Client) -> None:
    profile = make_profile(consent=("marketing",))

    response = client.post(unsubscribe_path(profile), {"List-Unsubscribe": "One-Click"})

    assert response.status_code == 200
    assert granted(profile) == {"marketing": False}


@pytest.mark.skipif(not RFC_EXAMPLES.exists(), reason="the RFC's examples are not on this machine")
@pytest.mark.parametrize("number", [0, 1, 2])
def test_one_click_as_the_rfc_prints_it(client: Client, number: int) -> None:
    request = json.loads(RFC_EXAMPLES.read_text())[number]["request"]
    profile = make_profile(consent=("marketing",))

    response = client.generic(
        "POST", unsubscribe_path(profile), request["body"].encode(), content_type=request["content_type"]
    )

    assert response.status_code == 200
    assert granted(profile) == {"marketing": False}


@pytest.mark.parametrize("body", ["", "a=b", "List-Unsubscribe=No", "leave=tracking", "One-Click", "\xff"])
def test_other_bodies_do_not_unsubscribe(client: Client, body: str) -> None:
    profile = make_profile(consent=("marketing", "tracking"))
    before = everything()

    response = client.post(unsubscribe_path(profile), body.encode("latin-1"), content_type=FORM)

    assert response.status_code == 400
    assert everything() == before


@pytest.mark.parametrize("path", [unsubscribe_path, preferences_path])
def test_oversized_bodies_are_refused_unread(client: Client, path: PathOf) -> None:
    profile = make_profile(consent=("marketing",))
    before = everything()

    response = client.post(path(profile), ONE_CLICK + "&do=leave&x=" + "y" * 20_000, content_type=FORM)

    assert response.status_code == 413
    assert everything() == before


def test_button_of_the_page_leads_to_a_confirmation_with_undo(client: Client) -> None:
    profile = make_profile(consent=("marketing",))
    path = unsubscribe_path(profile)
    assert 'name="leave" value="marketing"' in client.get(path).content.decode()

    page = client.post(path, "leave=marketing", content_type=FORM).content.decode()

    assert "You are unsubscribed" in page
    assert "Undo: keep it after all" in page
    assert granted(profile) == {"marketing": False}
    assert "There is nothing left to do" in client.get(path).content.decode()
    record = ConsentRecord.objects.filter(profile=profile).latest("id")
    assert record.method == "preferences"


@pytest.mark.parametrize("scope", ["p", "u"])
@pytest.mark.parametrize("method", ["get", "post", "head"])
def test_bad_links_get_a_friendly_page_and_change_nothing(client: Client, scope: str, method: str) -> None:
    profile = make_profile(consent=("marketing",))
    good = (preferences_path(profile) if scope == "p" else unsubscribe_path(profile)).rpartition("/")[2]
    other_scope = (unsubscribe_path(profile) if scope == "p" else preferences_path(profile)).rpartition("/")[2]
    before = everything()

    for token in [
        good[:-1],
        good[:20],
        "k1.",
        "k9." + good[3:],
        other_scope,
        "x" * 2000,
        good + "A",
        "k1.%C3%A9",
        "%00",
    ]:
        data = {"data": f"{ONE_CLICK}&do=leave&leave=marketing", "content_type": FORM} if method == "post" else {}
        response = getattr(client, method)(f"/{scope}/{token}", **data)
        assert response.status_code == 404, token
        assert response["Cache-Control"] == "no-store"
        if method != "head":
            assert "This link does not work" in response.content.decode()
    assert everything() == before


def test_link_of_a_person_who_is_gone(client: Client) -> None:
    profile = make_profile()
    path = preferences_path(profile)
    profile.delete()

    assert client.get(path).status_code == 404


@hypothesis_settings(max_examples=tries(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_bit_of_a_token_is_refused(client: Client, data: st.DataObject) -> None:
    token = preferences_url(profile_id=7, message_id=UUID(int=7)).rpartition("/")[2]
    raw = bytearray(token.encode())
    position = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[position // 8] ^= 1 << (position % 8)

    with pytest.raises(BadToken):
        link_read(LinkScope.PREFERENCES, raw.decode("latin-1"))


@pytest.mark.parametrize("of", [LinkScope.UNSUBSCRIBE, LinkScope.PREFERENCES])
def test_the_links_of_a_test_say_so_and_change_nothing(client: Client, of: LinkScope) -> None:
    make_profile(consent=("marketing",))
    before, path = everything(), urlsplit(trial_link_url(of, test_id=uuid4())).path

    page = client.get(path)
    posted = client.post(path, ONE_CLICK, content_type=FORM)

    assert (page.status_code, posted.status_code) == (200, 200)
    assert "This was a test" in page.content.decode()
    assert ("leave in one step" in page.content.decode()) is (of == LinkScope.UNSUBSCRIBE)
    assert posted.content == b"This was a test: nothing was changed.\n"
    assert page["Referrer-Policy"] == "no-referrer"
    assert client.put(path).status_code == 405
    assert everything() == before
