"""Which version of a block or template a playbook takes when it is handed in.

The published one, to the letter as it was published. Of what never was published the newest: it is agreed to as a part
of the playbook, and if it is a template with tests, these must pass as for its own publishing. What was withdrawn is
not taken.
"""

from collections.abc import Collection
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import models

from apps.decisioning.content.models import Block, BlockVersion, Template, TemplateVersion
from apps.decisioning.content.template_tests import template_publish_problems
from apps.foundation.core.errors import Invalid
from apps.foundation.governance.models import Publication
from apps.foundation.governance.selectors import publications_live
from apps.foundation.governance.workflow import publication_verify


def blocks_taken(ids: Collection[int]) -> dict[int, BlockVersion]:
    """The versions of blocks that would be taken, by block; those without any version are left out."""
    return _taken(Block, BlockVersion, "block", ids)


def templates_taken(ids: Collection[int]) -> dict[int, TemplateVersion]:
    """The versions of templates that would be taken, by template; those without any version are left out."""
    return _taken(Template, TemplateVersion, "template", ids)


def _taken(head: type[models.Model], version: type[Any], link: str, ids: Collection[int]) -> dict[int, Any]:
    rows = version._default_manager.select_related(link)
    newest = rows.filter(**{f"{link}__in": ids}).order_by(f"{link}_id", "-number").distinct(f"{link}_id")
    found = {getattr(row, f"{link}_id"): row for row in newest}
    live = publications_live(head, ids)
    published = rows.in_bulk([publication.version_id for publication in live.values()])
    return found | {
        head_id: published[publication.version_id]
        for head_id, publication in live.items()
        if publication.version_id in published
    }


def taking_check(*, blocks: Collection[int], templates: Collection[int]) -> None:
    """See that what would be taken may be.

    Raises Invalid for what was withdrawn and for a new template whose tests fail or leave something out, Conflict for
    what is not what was published.
    """
    for head, ids, field in ((Block, blocks, "slots"), (Template, templates, "template")):
        live = publications_live(head, ids)
        for publication in live.values():
            publication_verify(publication)
        once = Publication.objects.filter(content_type=ContentType.objects.get_for_model(head), head_id__in=ids)
        gone = head._default_manager.filter(pk__in=set(once.values_list("head_id", flat=True)) - live.keys())
        problems = [
            {"place": field, "problem": f"{row} was withdrawn: publish it again first, or use another"} for row in gone
        ]
        if problems:
            raise Invalid("content_withdrawn", "; ".join(one["problem"] for one in problems), {"problems": problems})
    new = set(templates) - publications_live(Template, templates).keys()
    for version in templates_taken(new).values():
        if version.cases and (faults := template_publish_problems(version)):
            problems = [{"place": "template", "problem": f"Tests of {version}: {fault}"} for fault in faults]
            raise Invalid("template_untested", "; ".join(one["problem"] for one in problems), {"problems": problems})
