"""What features merge: tallies are made anew from the events of both, and online copies are void."""

from django.db import connection

from apps.data.profiles.registry import MergePart, Merging, merge_parts

from .online import copies_void
from .tallies import tallies_fold


def merging_register() -> None:
    """Called when the app is ready, so after events have said how they move."""
    merge_parts.append(MergePart("features", _fold, lambda merging, _: _fold(merging)))


def _fold(merging: Merging) -> None:
    both = [merging.kept, merging.absorbed]
    with connection.cursor() as cursor:
        tallies_fold(cursor, both)
    copies_void(profile_ids=both)
