"""A block's validity from the playbook's page to the decision."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from apps.decisioning.content.models import Block, BlockVersion
from apps.decisioning.content.services import VersionFacts, block_version_create
from apps.decisioning.playbooks.models import Playbook, PlaybookVersion
from apps.decisioning.playbooks.selectors import tier_rows_pinned, validity_news
from apps.decisioning.playbooks.services import playbook_submit
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid
from tests.factories import approve, make_playbook, make_user

pytestmark = pytest.mark.django_db
ENDS = datetime(2030, 6, 1, tzinfo=UTC)


def ending(playbook: Playbook, slot: str, at: int, ends: datetime) -> None:
    """Give the block of a tier an end."""
    version = BlockVersion.objects.filter(block=playbook.slots[slot][at]["block"]).order_by("-number")[0]
    root = User.objects.filter(is_superuser=True)[0]
    block_version_create(
        block_id=version.block_id, content=version.content, by=root, facts=VersionFacts(valid_until=ends)
    )


def test_a_version_pins_the_validity_and_what_a_model_chooses() -> None:
    playbook = make_playbook()
    ending(playbook, "hero", 0, ENDS)

    spec = playbook_submit(playbook_id=playbook.pk, by=playbook.owner).spec

    assert spec["slots"]["hero"][0]["valid_until"] == "2030-06-01T00:00:00+00:00"
    assert "valid_until" not in spec["slots"]["hero"][1]
    assert [tier.get("chosen", False) for tier in spec["slots"]["products"]] == [True, False, False, False]
    assert tier_rows_pinned(spec)[0].condition.endswith("and until 2030-06-01 00:00 UTC")
    tier = "Segment tier 'German speaking' of slot hero"
    for at, said in (
        (ENDS - timedelta(days=8), []),
        (ENDS - timedelta(days=6), [f"The {tier} runs out on 2030-06-01 00:00 UTC; then it is passed over."]),
        (ENDS, [f"The {tier} has run out, on 2030-06-01 00:00 UTC: it is passed over."]),
    ):
        assert [news.lower() for news in validity_news(spec, at)] == [news.lower() for news in said]


def test_a_static_tier_takes_no_block_that_ends() -> None:
    playbook = make_playbook()
    ending(playbook, "hero", 1, ENDS)

    with pytest.raises(Invalid) as error:
        playbook_submit(playbook_id=playbook.pk, by=playbook.owner)

    assert "a static tier must always hold" in str(error.value)
    assert not PlaybookVersion.objects.exists()


def test_the_playbooks_page_tells_of_a_block_that_runs_out(client: Client) -> None:
    playbook = make_playbook()
    ending(playbook, "hero", 0, now() + timedelta(days=2))
    version = approve(playbook_submit(playbook_id=playbook.pk, by=playbook.owner))
    Playbook.objects.filter(pk=playbook.pk).update(published=version)
    client.force_login(make_user("local_editor"))

    page = client.get(reverse("admin:playbooks_playbook_change", args=[playbook.pk])).content.decode()

    assert "of slot hero runs out on" in page
    assert Block.objects.filter(pk=playbook.slots["hero"][0]["block"]).exists()
