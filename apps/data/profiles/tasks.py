"""Background work of profiles."""

from celery import shared_task

from . import asking, attribute_moving, candidates, changes


@shared_task
def links_answer() -> None:
    """Look who has the addresses that were typed in. Typing one in wakes it; beat calls it for what was dropped."""
    asking.links_asked_answer()


@shared_task
def attribute_values_move(definition_id: int) -> None:
    """Seal or open the values of an attribute. Making it sensitive wakes it."""
    attribute_moving.values_move(definition_id=definition_id)


@shared_task
def attributes_sweep() -> None:
    """Go on with values that a worker which died left on their way; called by beat."""
    for definition_id in attribute_moving.values_left():
        attribute_moving.values_move(definition_id=definition_id)


@shared_task
def changes_order() -> None:
    """Give changes their places in the feed. Reading it does so too; beat calls it for webhooks."""
    changes.changes_order()


@shared_task
def verified_merge() -> None:
    """Merge who has the same verified address; called by beat."""
    candidates.verified_merge()


@shared_task
def candidates_find() -> None:
    """Look for pairs of profiles that may be one person; called by beat, and by the page where they wait."""
    candidates.candidates_find()
