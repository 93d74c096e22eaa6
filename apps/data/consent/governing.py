"""What consent tells governance: how wordings are approved, compared and brought back."""

from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.governance.history import VersionRows, actors_since_published
from apps.foundation.governance.registry import Looks, Workflow, history_register, workflow_register

from .asking import standing_of
from .models import Wording, WordingVersion
from .wordings import version_digest, wording_published, wording_version_create, wording_withdrawn


def _authors(version: WordingVersion) -> set[int]:
    return actors_since_published(version.wording, ("consent.wording.created", "consent.wording.version_made"))


def wording_values(version: WordingVersion) -> dict[str, str]:
    """What a version says, by language, and what it means for those who agreed before."""
    return {
        **{f"Text ({locale})": text for locale, text in version.texts.items()},
        "Change": "of meaning" if version.material else "of spelling only",
        "Who agreed before": consequence_words(version),
    }


def consequence_words(version: WordingVersion) -> str:
    """What publishing a version means for those who agreed to an older text, in a sentence."""
    if not version.material:
        return "Their agreement holds"
    if version.holds_until is None:
        return "Must agree again, and get nothing until then"
    return f"Must agree again; what they agreed to holds until {version.holds_until:%Y-%m-%d %H:%M} UTC"


def wording_looks(version: WordingVersion) -> list[Looks]:
    """Each language as people read it, and whom the version concerns."""
    standing = standing_of(version)
    counted = f"{standing.agreed} people agree to this purpose now; {standing.older} of them agreed to another text."
    if version.material:
        counted += f" {consequence_words(version)}."
    return [Looks("Whom it concerns", text=counted), *(Looks(one, text=text) for one, text in version.texts.items())]


def _problems(version: WordingVersion) -> list[str]:
    if version.holds_until is not None and version.holds_until <= now():
        return ["The day until which older agreements hold is over: name a later one"]
    return []


def _revert(version: WordingVersion, by: User, why: str) -> str:
    made = wording_version_create(
        wording_id=version.wording_id,
        by=by,
        texts=version.texts,
        material=version.material,
        why=f"Back to v{version.number}. {why}".strip(),
    )
    return f"{made} says again what v{version.number} said. It is a draft: look what it means, and ask for approval."


def governing_register() -> None:
    """Called once, when Django is ready. The law always answers, whatever paths there are beside."""
    workflow_register(
        Workflow(
            code="wording",
            head=Wording,
            version=WordingVersion,
            link="wording",
            digest=version_digest,
            authors=_authors,
            tags=lambda version: (),
            values=wording_values,
            revert=_revert,
            problems=_problems,
            steps=lambda version: (("legal_approver",),),
            published=wording_published,
            withdrawn=wording_withdrawn,
            looks=wording_looks,
        )
    )
    history_register(Wording, VersionRows())
