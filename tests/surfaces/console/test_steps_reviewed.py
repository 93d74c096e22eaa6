"""A review of a playbook with steps shows all that is agreed to: the picture, and every message."""

import pytest

from apps.decisioning.playbooks.services import playbook_submit, playbook_update
from apps.surfaces.console.reviews import version_shown
from tests.factories import make_playbook


@pytest.mark.django_db
def test_every_message_and_the_picture_are_shown() -> None:
    playbook = make_playbook()
    message = {"kind": "message", "template": playbook.template_id, "slots": playbook.slots}
    steps = [{**message, "name": "First"}, {"kind": "wait", "for": {"days": 2}}, {**message, "name": "Second"}]
    playbook_update(playbook_id=playbook.pk, by=playbook.owner, steps=steps)
    shown = version_shown(playbook_submit(playbook_id=playbook.pk, by=playbook.owner))
    assert [step.title for step in shown.picture.steps] == ["First", "Wait 2 days", "Second"]
    assert [slot for slot, _ in shown.slots] == ["First: hero", "First: products", "Second: hero", "Second: products"]
    assert {preview.person.partition(":")[0] for preview in shown.previews} == {"First", "Second"}
    assert all(preview.rendered is not None for preview in shown.previews)
