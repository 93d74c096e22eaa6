"""The roles of the people who work in Tessera, and what each may do with which kind of object.

A role is a group of Django's, kept in step with this table by `migrate`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Role:
    """code: the group's name; title: for people; rights: `app.action_model` permissions of Django's."""

    code: str
    title: str
    does: str
    rights: tuple[str, ...] = ()


def _rights(app: str, models: str, actions: str) -> tuple[str, ...]:
    return tuple(f"{app}.{action}_{model}" for model in models.split() for action in actions.split())


_SEE = (
    *_rights("profiles", "profile identifier", "view"),
    *_rights("consent", "purpose consentrecord consentstate suppression", "view"),
    *_rights("catalog", "item", "view"),
    *_rights("events", "event order orderline", "view"),
    *_rights("imports", "import", "view"),
    *_rights("audiences", "audience", "view"),
    *_rights("content", "market brand blocktype block blockversion persona template templateversion", "view"),
    *_rights("playbooks", "playbook playbookversion run", "view"),
    *_rights("decisions", "decision", "view"),
    *_rights("sending", "dispatch message deliveryattempt", "view"),
    *_rights("governance", "review approval auditentry approvalpath publication", "view"),
    *_rights("console", "dryrun", "view"),
)
_REHEARSE = _rights("console", "dryrun testsend", "make")

ROLES: tuple[Role, ...] = (
    Role(
        "local_editor",
        "Local editor",
        "writes blocks, sets up audiences and playbooks, asks for approval",
        (
            *_SEE,
            *_REHEARSE,
            *_rights("content", "block persona", "add change"),
            *_rights("audiences", "audience", "add change"),
            *_rights("playbooks", "playbook", "add change"),
            *_rights("imports", "import", "add"),
        ),
    ),
    Role(
        "engineer",
        "Engineer",
        "owns templates and block types",
        (*_SEE, *_REHEARSE, *_rights("content", "template blocktype persona", "add change")),
    ),
    Role("brand_approver", "Brand approver", "agrees to content for the brand", (*_SEE, *_REHEARSE)),
    Role("legal_approver", "Legal approver", "agrees to content for the law", (*_SEE, *_REHEARSE)),
    Role(
        "publisher",
        "Publisher",
        "publishes what was approved, starts and stops runs",
        (
            *_SEE,
            *_REHEARSE,
            "playbooks.publish_playbook",
            "playbooks.run_playbook",
            "content.publish_block",
            "content.publish_template",
        ),
    ),
    Role("analyst", "Analyst", "reads everything, changes nothing", _SEE),
    Role(
        "administrator",
        "Administrator",
        "looks after people, brands, imports and suppressions",
        (
            *_SEE,
            *_REHEARSE,
            *_rights("accounts", "user", "view add change"),
            *_rights("governance", "approvalpath", "add change"),
            *_rights("auth", "group", "view"),
            *_rights("content", "market brand", "add change"),
            *_rights("imports", "import", "add change"),
            *_rights("consent", "suppression", "add"),
            *_rights("webhooks", "webhookendpoint", "view add change"),
            *_rights("webhooks", "webhookdelivery", "view"),
        ),
    ),
)

ROLE_BY_CODE = {role.code: role for role in ROLES}
