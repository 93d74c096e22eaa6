"""Who may do what to audiences: whoever owns one, and those with whom they share it."""

from apps.foundation.accounts.rights import owners_way, shares_declare, ways_declare

from .models import Audience


def rights_declare() -> None:
    """Called when the app is ready."""
    ways_declare(Audience, "change", owners_way("audiences.change_audience"))
    shares_declare(Audience, "audiences.change_audience")
