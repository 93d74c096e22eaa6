"""A playbook pinned as it would be handed in at this moment, without a version being made of it."""

import json
from dataclasses import dataclass
from typing import Any, cast

from apps.decisioning.content.models import CompiledTemplate

from .contracts import PlaybookSpec
from .errors import PlaybookInvalid
from .models import Playbook
from .rules import spec_digest
from .specs import messages_compile, playbook_problems, spec_build


@dataclass(frozen=True, slots=True)
class Pinned:
    """What a version would bind. compiled: ids by language, of the first message; compiled_steps: by step, empty where
    there is but one; digest: that which such a version would have.
    """

    spec: PlaybookSpec
    compiled: dict[str, int]
    compiled_steps: dict[str, dict[str, int]]
    digest: str


def playbook_pin(playbook: Playbook) -> Pinned:
    """Pin the newest versions of all that a playbook uses, and compile it.

    Raises PlaybookInvalid, Invalid (what content refuses): exactly what would keep it from being handed in.
    """
    if problems := playbook_problems(playbook):
        raise PlaybookInvalid(problems)
    built, _ = spec_build(playbook)
    by_step = messages_compile(built)
    compiled, compiled_steps = next(iter(by_step.values())), by_step if built.get("steps") else {}
    ids = {
        **compiled,
        **{f"{step}/{language}": pk for step, found in compiled_steps.items() for language, pk in found.items()},
    }
    spec = json.loads(json.dumps(built))  # as the database gives it back: the digest is of that
    digests = dict(CompiledTemplate.objects.filter(pk__in=ids.values()).values_list("pk", "digest"))
    return Pinned(
        spec=cast(PlaybookSpec, spec),
        compiled=compiled,
        compiled_steps=compiled_steps,
        digest=spec_digest(cast("dict[str, Any]", spec), {language: digests[pk] for language, pk in ids.items()}),
    )
