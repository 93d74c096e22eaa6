"""When a block may be shown, what customers read where a model chose or wrote it, and which languages a message has."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from apps.decisioning.content import services
from apps.decisioning.content.choosing import Tier, Validity, languages_common, tier_choose
from apps.decisioning.content.contracts import TierSpec
from apps.decisioning.content.labels import CHOSEN, WRITTEN, label_text
from apps.decisioning.content.models import BlockVersion, CompiledTemplate
from apps.decisioning.content.rendering import render
from apps.decisioning.content.selectors import compiled_load
from apps.decisioning.content.services import VersionFacts
from apps.decisioning.content.slots import slots_problems
from apps.decisioning.content.trials import LINKS, sample_items
from apps.foundation.core.errors import Invalid

from .making import Sample, brand_spec

SAID = {"words": "Hello"}
MAY, JUNE = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
SHORT = timedelta(microseconds=1)


@pytest.fixture(scope="module")
def loaded(django_db_setup: None, django_db_blocker: Any) -> Iterator[Sample]:
    """The sample shop's content, loaded once; each test runs in a savepoint behind it."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield Sample()
        transaction.set_rollback(True)


def asked(name: str, valid: Validity | None = None) -> Tier:
    return Tier(name=name, tier=name, block=name, rule=None, source=None, count=0, valid=valid)


@pytest.mark.parametrize(
    ("moment", "shown", "passed"),
    [
        (MAY - SHORT, "static", [{"valid": "from 2026-05-01 00:00 UTC"}]),
        (MAY, "spring", []),
        (JUNE - SHORT, "spring", []),
        (JUNE, "static", [{"valid": "until 2026-06-01 00:00 UTC"}]),
    ],
)
def test_a_tier_shows_its_block_while_it_is_valid(moment: datetime, shown: str, passed: list[Any]) -> None:
    tiers = (asked("spring", Validity(MAY, JUNE)), asked("static"))

    chosen, why = tier_choose(tiers, None, {}, moment)

    assert chosen["block"] == shown
    assert why.get("no", []) == passed


def test_a_pinned_tier_carries_the_validity() -> None:
    spec: TierSpec = {
        "tier": "segment", "name": "x", "block_version": 1, "when": None, "source": None, "count": 0,
        "valid_from": MAY.isoformat(), "valid_until": JUNE.isoformat(),
    }  # fmt: skip

    assert Validity.of(spec) == Validity(MAY, JUNE)
    del spec["valid_from"], spec["valid_until"]
    assert Validity.of(spec) is None


def test_a_static_tier_has_a_block_that_is_valid_for_good() -> None:
    spec: TierSpec = {
        "tier": "static", "name": "x", "block_version": 1, "when": None, "source": None, "count": 0,
        "valid_until": JUNE.isoformat(),
    }  # fmt: skip

    (problem,) = slots_problems(["hero"], {"hero": [spec]})

    assert "a static tier must always hold" in problem.mend


@pytest.mark.parametrize(
    ("contents", "languages"),
    [
        ([{"en": {"a": 1}, "de": {"a": 1}}, {"en": {"a": 1}}], ["en"]),
        ([{"en": {"a": 1}, "de-AT": {"a": 1}}, {"en": {"a": 1}, "de": {"a": 1}}], ["en", "de-AT"]),
        ([{"en": SAID, "de": SAID, "de-AT": SAID}, {"en": SAID, "de": SAID}], ["en", "de", "de-AT"]),
        ([{"en": {"a": 1}}, {"en": {}, "de": {}}], ["en"]),
    ],
)  # fmt: skip
def test_a_region_falls_back_to_its_language_and_never_mixes_two(
    contents: list[dict[str, Any]], languages: list[str]
) -> None:
    assert languages_common(contents, "en") == languages


@pytest.mark.django_db
def test_versions_keep_their_validity_until_it_is_changed(loaded: Sample) -> None:
    block = loaded.blocks["Hero: best customers"]
    old = loaded.version("Hero: best customers")
    content = old.content

    def save(**values: Any) -> BlockVersion:
        return services.block_version_create(block_id=block.pk, content=content, by=loaded.editor, **values)

    first = save(facts=VersionFacts(MAY, JUNE))
    assert (first.number, first.valid_from, first.valid_until) == (2, MAY, JUNE)
    assert first.digest != old.digest
    assert save() == first
    last = save(facts=VersionFacts())
    assert (last.number, last.valid_from, last.digest) == (3, None, old.digest)
    with pytest.raises(Invalid) as error:
        save(facts=VersionFacts(JUNE, MAY))
    assert "must be after the moment" in error.value.message
    assert block.versions.count() == 3


@pytest.mark.django_db
def test_customers_read_where_a_model_chose(loaded: Sample) -> None:
    slots = loaded.slots()
    for tier in slots["products"][:2]:
        tier["chosen"] = True
    ids = services.message_compile(
        template_version_id=loaded.template_version.pk, brand=brand_spec(loaded.brand), slots=slots,
        languages=["en", "de"],
    )  # fmt: skip
    picks, best = slots["products"][0]["block_version"], slots["products"][2]["block_version"]

    def shown(language: str, block: str) -> tuple[bool, bool]:
        words = {"en": "Chosen for you automatically", "de": "Automatisch für dich ausgewählt"}[language]
        chosen = {"products": {"block": block, "items": sample_items("https://shop.example/")}}
        out = render(compiled_load(ids[language]), {"profile": {}, "slots": chosen, "links": LINKS})
        return words in out.html, words in out.text

    assert CompiledTemplate.objects.count() == 2
    assert shown("en", f"{picks}m") == shown("de", f"{picks}m") == (True, True)
    assert shown("en", str(best)) == shown("de", str(best)) == (False, False)


@pytest.mark.django_db
def test_customers_read_where_a_model_wrote(loaded: Sample) -> None:
    block = loaded.blocks["Hero: everybody"]
    content = loaded.version("Hero: everybody").content
    services.block_version_create(
        block_id=block.pk, content=content, by=loaded.editor, facts=VersionFacts(written_by_model=True)
    )

    ids = services.message_compile(
        template_version_id=loaded.template_version.pk, brand=brand_spec(loaded.brand), slots=loaded.slots(),
        languages=["fr"],
    )  # fmt: skip

    out = render(compiled_load(ids["fr"]), {"profile": {}, "slots": {}, "links": LINKS})
    assert "Rédigé avec l’aide d’une intelligence artificielle" in out.html
    assert "(Rédigé avec l’aide d’une intelligence artificielle)" in out.text
    line = loaded.blocks["Subject: for your home"]
    with pytest.raises(Invalid) as error:
        services.block_version_create(
            block_id=line.pk, content=loaded.version("Subject: for your home").content, by=loaded.editor,
            facts=VersionFacts(written_by_model=True),
        )  # fmt: skip
    assert "no place for one" in error.value.message


@pytest.mark.django_db
def test_a_label_is_the_brands_else_ours_else_english(loaded: Sample) -> None:
    brand = brand_spec(loaded.brand)

    assert label_text(CHOSEN, brand=brand, language="de-AT").startswith("Automatisch für dich ausgewählt, aus dem")
    assert label_text(WRITTEN, brand=brand, language="de-AT") == "Mit Hilfe künstlicher Intelligenz geschrieben"
    assert label_text(WRITTEN, brand=brand, language="fi") == "Written with the help of artificial intelligence"
    for labels, told in (
        ({"guessed": {"en": "x"}}, "must be chosen and written"),
        ({"chosen": {"en": " "}}, "must be one line of visible text"),
        ({"chosen": {"English": "x"}}, "is not a language tag"),
        ({"chosen": {"en": "{{ x }}"}}, "without brackets"),
    ):
        with pytest.raises(Invalid) as error:
            services.brand_update(brand_id=loaded.brand.pk, by=loaded.administrator, labels=labels)
        assert told in error.value.message
