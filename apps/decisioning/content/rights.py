"""Who may do what to content. The central team (engineers and administrators) may change all of it but templates."""

from typing import cast

from django.db.models import Model

from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import Way, is_granted, is_owner, owners_way, shares_declare, ways_declare
from apps.foundation.accounts.scopes import ObjectScope, scope_declare

from .models import Block, Market, Template

WORK_IN = "content.edit_market"
"""By a role: may work in markets; on a Market: in this one."""


def works_in(user: User, subject: Model) -> bool:
    """Whether a block is of a market that the user works in."""
    market = cast(Block, subject).market
    return market is not None and is_granted(user, market, WORK_IN)


def _local(user: User, subject: Model) -> bool:
    """Local editors write the blocks of their markets; what the brand stands on is the central team's, there too."""
    return cast(Block, subject).tier != Block.Tier.FOUNDATION and works_in(user, subject)


def _local_own(user: User, subject: Model) -> bool:
    return is_owner(user, subject) and _local(user, subject)


def _published(user: User, subject: Model) -> bool:
    return is_owner(user, subject) or is_granted(user, subject, "content.publish_block") or works_in(user, subject)


def _editors(subject: Model | None) -> str:
    block = cast(Block | None, subject)
    if block is None:
        return "local editors in their markets"
    local = block.market is not None and block.tier != Block.Tier.FOUNDATION
    return f"a local editor of {block.market}" if local else ""


def _owning_editor(subject: Model | None) -> str:
    return "its owner" if _editors(subject) else ""


def _publishers(subject: Model | None) -> str:
    block = cast(Block | None, subject)
    if block is None:
        return "its owner"
    return f"its owner ({block.owner})" + (f", a publisher of {block.market}" if block.market is not None else "")


def _central(subject: Model | None) -> str:
    return "the central team (engineers and administrators)"


def rights_declare() -> None:
    """Called when the app is ready.

    describe: a block's name, tier, tags, market and the like, all but what it says.
    """
    scope_declare(
        ObjectScope(
            "markets",
            "Markets",
            Market,
            WORK_IN,
            "Where they work, if they are a local editor (writes blocks there) or a publisher (publishes them too).",
        )
    )
    ways_declare(Block, "add", Way("content.add_block", None, _central), Way(WORK_IN, _local, _editors))
    ways_declare(Block, "change", Way("content.change_block", None, _central), Way(WORK_IN, _local, _editors))
    ways_declare(
        Block, "describe", Way("content.change_block", None, _central), Way(WORK_IN, _local_own, _owning_editor)
    )
    ways_declare(Block, "publish", Way("content.publish_block", _published, _publishers))
    shares_declare(Block, "content.publish_block")
    shares_declare(Template, "content.publish_template")
    ways_declare(Template, "publish", owners_way("content.publish_template"))
