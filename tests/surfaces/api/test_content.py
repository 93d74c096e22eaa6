"""Blocks and templates in the API: drafts through approval, and never past it."""

import pytest
from django.urls import get_resolver

from apps.decisioning.content.models import Block, BlockVersion, Template, TemplateVersion
from apps.foundation.governance.models import Publication, Review
from apps.foundation.governance.workflow import version_publish
from tests.architecture.test_permissions import routes
from tests.factories import agree, make_block, make_market, make_paths, make_user

from .makers import make_asker, problem

pytestmark = pytest.mark.django_db
MJML = """<mjml><mj-body><mj-section><mj-column><mj-text>Hello {{ profile.first_name | fallback("friend") }}
[[ brand.postal_address ]] <a href="{{ links.unsubscribe }}">Unsubscribe</a></mj-text></mj-column></mj-section>
</mj-body></mjml>"""
TEXT = "Hello, [[ brand.postal_address ]] {{ links.unsubscribe }}"
NEWS = {"code": "news", "name": "News", "subject": "News", "mjml": MJML, "text": TEXT}


def words(text: str) -> dict[str, dict[str, dict[str, str]]]:
    return {"content": {"en": {"words": text}}}


def test_a_block_is_written_handed_in_agreed_to_by_others_and_seen_live() -> None:
    kind = make_block().type.code
    owner = make_user("engineer")
    asker = make_asker(owner=owner)

    made = asker.post("blocks", {"name": "Spring", "type": kind, "tags": ["tea"], **words("Spring teas")})
    assert made.status_code == 201, made.content
    block = Block.objects.get(name="Spring")
    path = f"blocks/{block.pk}"
    assert (block.owner, made.json()["newest"], made.json()["live"]) == (owner, 1, None)
    draft = asker.post(f"{path}/versions", {**words("Spring is here"), "base": 1, "why": "shorter"})
    assert (draft.status_code, draft.json()["number"], draft.json()["state"]) == (201, 2, "draft")
    assert asker.post(f"{path}/versions", words("Spring is here")).status_code == 200
    problem(asker.post(f"{path}/versions", {**words("Late"), "base": 1}), 409, "block_changed_meanwhile")

    told = asker.post(f"{path}/versions/2/submit", {"note": "please"}).json()
    assert (told["state"], told["review"]["state"]) == ("in_review", "open")
    assert told["review"]["waits_for"]
    problem(asker.post(f"{path}/versions/2/submit", {}), 409, "version_waits_already")
    agree(Review.objects.get())
    version = BlockVersion.objects.get(number=2, block=block)
    assert asker.get(f"{path}/versions/2").json()["state"] == "approved"
    assert not Publication.objects.exists()
    version_publish(version=version, by=owner)
    assert asker.get(path).json()["live"] == 2
    assert [one["state"] for one in asker.get(f"{path}/versions").json()["items"]] == ["published", "draft"]


def test_a_change_voids_what_waits_and_a_request_is_taken_back() -> None:
    kind = make_block().type.code
    asker = make_asker(owner=make_user("engineer"))
    path = f"blocks/{asker.post('blocks', {'name': 'Spring', 'type': kind, **words('A')}).json()['id']}"
    seen = asker.get(path)["ETag"]

    asker.post(f"{path}/versions/1/submit", {})
    assert asker.patch(path, {"name": "Summer"}, If_Match=seen).json()["name"] == "Summer"
    assert asker.get(f"{path}/versions/1").json()["state"] == "void"
    problem(asker.patch(path, {"name": "Autumn"}, If_Match=seen), 412, "changed_meanwhile")
    asker.post(f"{path}/versions/1/submit", {})
    assert asker.post(f"{path}/versions/1/withdraw").json()["state"] == "void"
    problem(asker.post(f"{path}/versions/1/withdraw"), 409, "block_not_waiting")
    problem(asker.post(f"{path}/versions", {"content": {"en": {"odd": "x"}}}), 422, "block_refused")


def test_a_template_that_could_be_blank_is_refused_and_a_good_one_handed_in() -> None:
    make_paths()
    asker = make_asker(owner=make_user("engineer"))

    blank = {**NEWS, "text": "Hello {{ profile.first_name }}, [[ brand.postal_address ]] {{ links.unsubscribe }}"}
    said = problem(asker.post("templates", blank), 422, "template_refused")
    assert "first_name" in str(said["errors"])
    assert not Template.objects.exists()
    made = asker.post("templates", NEWS, Idempotency_Key="1")
    assert made.status_code == 201, made.content
    path = f"templates/{made.json()['id']}"
    draft = asker.post(f"{path}/versions", {"subject": "More news"}).json()
    assert (draft["number"], draft["mjml"]) == (2, TemplateVersion.objects.get(number=1).mjml)
    assert asker.patch(path, {"name": "Newsletter"}).json()["name"] == "Newsletter"
    assert [one["code"] for one in asker.get("templates?code=news").json()["items"]] == ["news"]
    answer = asker.post(f"{path}/versions/2/submit", {})
    assert answer.status_code in (200, 422), answer.content  # its tests may be asked for first
    assert not Publication.objects.exists()


def test_nothing_over_the_api_agrees_or_publishes() -> None:
    addresses = {route for route in routes(get_resolver().url_patterns) if route.startswith("api/")}

    assert addresses
    assert not [one for one in addresses if "publish" in one or "approve" in one or "answer" in one]


def test_a_client_writes_for_its_markets_alone() -> None:
    mine, other = make_market("de"), make_market("fr")
    shared = make_block()
    theirs = make_block(market=other)
    kind = shared.type.code
    asker = make_asker(owner=make_user("administrator"), reach={"markets": ["de"]})
    new = {"type": kind, **words("Tee")}

    made = asker.post("blocks", {**new, "name": "Tee", "market": "de"})
    assert made.status_code == 201, made.content
    problem(asker.post("blocks", {**new, "name": "Tea"}), 403, "market_beyond_limits")
    problem(asker.post("blocks", {**new, "name": "Thé", "market": "fr"}), 422, "market_unknown")
    problem(asker.patch(f"blocks/{made.json()['id']}", {"market": "fr"}), 422, "market_unknown")
    problem(asker.patch(f"blocks/{made.json()['id']}", {"market": None}), 403, "market_beyond_limits")
    assert [one["name"] for one in asker.get("blocks").json()["items"]] == ["Tee"]
    for hidden in (shared, theirs):
        for way in ("", "/versions", "/versions/1"):
            problem(asker.get(f"blocks/{hidden.pk}{way}"), 404, "not_found")
        problem(asker.post(f"blocks/{hidden.pk}/versions", words("x")), 404, "not_found")
        problem(asker.post(f"blocks/{hidden.pk}/versions/1/submit", {}), 404, "not_found")
    assert Block.objects.filter(market=mine).count() == 1


def test_who_may_not_write_content_does_not() -> None:
    block = make_block()
    asker = make_asker(owner=make_user("analyst"))

    problem(asker.post("blocks", {"name": "X", "type": block.type.code, **words("x")}), 403, "right_missing")
    problem(asker.post(f"blocks/{block.pk}/versions", words("x")), 403, "right_missing")
    problem(asker.post(f"blocks/{block.pk}/versions/1/submit", {}), 403, "right_missing")
    problem(asker.post("templates", NEWS), 403, "right_missing")
    assert asker.get(f"blocks/{block.pk}").json()["newest"] == 1
    assert [one["code"] for one in asker.get("block-types").json()["items"]] == [block.type.code]
    assert (BlockVersion.objects.count(), Template.objects.count()) == (1, 0)
