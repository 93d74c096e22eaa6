"""Making and changing audiences."""

import pytest

from apps.data.consent.models import Interest
from apps.decisioning.audiences.forms import rule_read, rule_text
from apps.decisioning.audiences.models import Audience
from apps.decisioning.audiences.rules import rule_parse
from apps.decisioning.audiences.services import audience_create, audience_update
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.foundation.governance.models import AuditEntry
from apps.foundation.governance.registry import histories_of
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def test_a_rule_is_kept_in_its_canonical_form() -> None:
    audience = audience_create(name=" Buyers ", rule={"orders": {"since": "2011-10-11"}}, owner=make_user("publisher"))
    assert audience.name == "Buyers"
    assert audience.rule == {"orders": {"at_least": 1, "since": "2011-10-11T00:00:00Z"}}


def test_what_is_wrong_leaves_nothing_behind() -> None:
    owner = make_user("publisher")
    kept = audience_create(name="All", rule={"all": []}, owner=owner)
    with pytest.raises(Conflict, match="There is an audience “All” already"):
        audience_create(name="All", rule={"all": []}, owner=owner)
    with pytest.raises(Invalid, match="any must list at least one rule"):
        audience_create(name="None", rule={"any": []}, owner=owner)
    with pytest.raises(Invalid, match="Give the audience a name"):
        audience_update(audience_id=kept.pk, name=" ", rule={"all": []}, by=owner)
    with pytest.raises(NotFound):
        audience_update(audience_id=kept.pk + 1, name="x", rule={"all": []}, by=owner)
    assert list(Audience.objects.values_list("name", flat=True)) == ["All"]
    assert AuditEntry.objects.filter(action__startswith="audience.").count() == 1


def test_an_interest_that_does_not_exist_is_refused_and_the_known_ones_are_named() -> None:
    owner = make_user("publisher")
    unknown = {"all": [{"orders": {}}, {"not": {"interest": "kitchn"}}]}
    with pytest.raises(Invalid, match=r'There is no interest "kitchn"\. There are none yet: add some under Interests'):
        audience_create(name="Cooks", rule=unknown, owner=owner)
    Interest.objects.create(code="kitchen", name="Cooking")
    Interest.objects.create(code="garden", name="Gardening", offered=False)
    kept = audience_create(name="Cooks", rule={"interest": "kitchen"}, owner=owner)
    refused = r'There is no interest "kitchn"\. Known are: garden, kitchen'
    with pytest.raises(Invalid, match=refused):
        audience_update(audience_id=kept.pk, name="Cooks", rule=unknown, by=owner)
    with pytest.raises(Invalid, match=refused):
        rule_read('{"interest": "kitchn"}')
    assert Audience.objects.get().rule == {"interest": "kitchen", "is": True}


def test_a_rule_is_laid_out_for_reading() -> None:
    lapsed = {"all": [{"orders": {"at_least": 2}}, {"orders": {"since": "2011-10-11", "exactly": 0}}]}
    assert rule_text(lapsed) == (
        '{"all": [\n  {"orders": {"at_least": 2}},\n  {"orders": {"exactly": 0, "since": "2011-10-11T00:00:00Z"}}\n]}'
    )
    long = {"attribute": "a" * 40, "in": ["b" * 30, "c"]}
    assert rule_text(long) == '{\n  "attribute": "' + "a" * 40 + '",\n  "in": ["' + "b" * 30 + '", "c"]\n}'
    assert rule_read(rule_text(long)) == rule_parse(long)
    assert rule_text({"odd": 1}) == '{"odd": 1}'


def test_what_an_audience_was_is_kept_and_can_be_put_back() -> None:
    owner = make_user("publisher")
    audience = audience_create(name="Germans", rule={"attribute": "country", "is": "DE"}, owner=owner)
    before = audience.rule
    audience_update(audience_id=audience.pk, name="Neighbours", rule={"all": []}, by=owner, why="Everybody counts")
    (history,) = histories_of(Audience)

    newest, first = history.entries(audience, limit=10)
    assert (newest.by, newest.why) == (owner, "Everybody counts")
    with pytest.raises(NotAllowed):
        history.revert(audience, first.key, by=make_user("publisher"), why="Not mine")
    history.revert(audience, first.key, by=owner, why="As it was")

    audience.refresh_from_db()
    assert (audience.name, audience.rule) == ("Germans", before)
    assert [entry.why for entry in history.entries(audience, limit=10)] == [
        "Back to an earlier state. As it was",
        "Everybody counts",
        "",
    ]
