"""Who may do what to which object. The one place that answers: services, admin pages and views all ask `may`.

A **role** gives rights over a kind of object (`roles.py`). An app whose objects ask for more than that declares its
ways here: a way is a right and a scope, and one way that holds is enough. So `may(user, "change", block)` holds for
somebody with `content.change_block`, and also for somebody with `content.edit_market` who works in the block's market.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.db.models import Model

from apps.foundation.core.errors import NotAllowed

from .models import User
from .roles import roles_with

Scope = Callable[[User, Model], bool]
"""Whether an object is one of those that a user's right is about."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to be allowed. right: `app.codename`, given by a role; scope: which objects, None for all of the kind;
    who: whom it is about, in words, such as "a local editor of France"; asked of an object, or of None for any."""

    right: str
    scope: Scope | None = None
    who: Callable[[Model | None], str] | None = None

    def people(self, subject: Model | None) -> str:
        """Whom this way is about, in words."""
        if self.who is not None:
            return self.who(subject)
        return either([_a(title.lower()) for title in roles_with(self.right)]) or "a superuser"

    def holds(self, user: User, subject: Model | None) -> bool:
        if not user.has_perm(self.right):
            return False
        return subject is None or self.scope is None or self.scope(user, subject)


_WAYS: dict[tuple[type[Model], str], tuple[Way, ...]] = {}


def ways_declare(model: type[Model], action: str, *ways: Way) -> None:
    """Say who may do `action` to objects of a model. An app calls it in its `ready()`, once for each."""
    _WAYS[model, action] = ways


_SHARED: dict[type[Model], tuple[str, ...]] = {}


def shares_declare(model: type[Model], *rights: str) -> None:
    """Say which rights somebody gets on an object that its owner shares with them. Without it nothing is shared."""
    _SHARED[model] = rights


def shared_rights(model: type[Model]) -> tuple[str, ...]:
    """The rights given on an object that is shared; a role must give them too."""
    return _SHARED.get(model, ())


def ways_of(model: type[Model], action: str) -> tuple[Way, ...]:
    """The ways to be allowed an action; without a declaration the right `app.action_model`, over every object."""
    meta = model._meta
    return _WAYS.get((model, action)) or (Way(f"{meta.app_label}.{action}_{meta.model_name}"),)


def may(user: User, action: str, subject: Model | type[Model]) -> bool:
    """Whether `user` may do `action` to `subject`: an object, saved or about to be; or, given a model, to any of it.

    action: view, add, change, delete, publish, or another that the model's app declared. A superuser may all of it
    (and still never agrees to their own work: see governance); nobody may anything with an account that is off.
    """
    if not user.is_active:
        return False
    if user.is_superuser:
        return True
    kind, one = (subject, None) if isinstance(subject, type) else (type(subject), subject)
    return any(way.holds(user, one) for way in ways_of(kind, action))


def may_publish(user: User, subject: Model | type[Model]) -> bool:
    """Whether `user` may put an approved version of `subject` (the playbook, block or template, not its version) into
    service and take it out again. That is its named owner, or somebody to whom it was granted on the object.

    It says nothing of the approval itself: who publishes looks for that too.
    """
    return may(user, "publish", subject)


def right_require(user: User, action: str, subject: Model | type[Model], *, what: str) -> None:
    """Raise NotAllowed unless `user` may. what: the deed in words, such as "change this block"."""
    if not may(user, action, subject):
        raise NotAllowed("right_missing", f"You may not {what}. {who_may(action, subject)}")


def who_may(action: str, subject: Model | type[Model]) -> str:
    """Who can do it, as a sentence for the one who can't."""
    kind, one = (subject, None) if isinstance(subject, type) else (type(subject), subject)
    people = either([way.people(one) for way in ways_of(kind, action)])
    return f"Who can: {people}."


def either(words: list[str]) -> str:
    """`a, b, c`, without what is empty or told twice."""
    return ", ".join(dict.fromkeys(word for word in words if word))


def _a(noun: str) -> str:
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"


def is_owner(user: User, subject: Model) -> bool:
    """Whether an object is the user's own, by its field `owner`."""
    return user.pk is not None and getattr(subject, "owner_id", None) == user.pk


def is_granted(user: User, subject: Model, right: str) -> bool:
    """Whether a right was given to the user on the object itself."""
    return subject.pk is not None and user.has_perm(right, subject)


def owners_way(right: str) -> Way:
    """The way of an object's owner, and of those to whom `right` was given on the object itself; both must have the
    right by a role too."""

    def scope(user: User, subject: Model) -> bool:
        return is_owner(user, subject) or is_granted(user, subject, right)

    def who(subject: Model | None) -> str:
        owner = getattr(subject, "owner", None)
        return f"its owner{f' ({owner})' if owner is not None else ''}, those with whom they share it"

    return Way(right, scope, who)
