"""The roles of the people who work in Tessera, and what each may do with which kind of object.

A role is a group of Django's, kept in step with this table by `migrate`. What its rights reach (all objects of a kind,
those of one's markets, one's own) is said beside the objects, in the `rights.py` of their app.
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
    *_rights("profiles", "profile attributedefinition", "view"),
    *_rights("consent", "purpose consentrecord consentstate suppression wording privacypolicy topic interest", "view"),
    *_rights("catalog", "item promotion", "view"),
    *_rights("events", "event order orderline eventschema eventschemaversion unknownname", "view"),
    *_rights("imports", "import", "view"),
    *_rights("audiences", "audience", "view"),
    *_rights("content", "market brand blocktype block blockversion persona template templateversion", "view"),
    *_rights("recommendations", "editorialpicks", "view"),
    *_rights("playbooks", "playbook playbookversion run", "view"),
    *_rights("decisions", "decision", "view"),
    *_rights("sending", "dispatch message deliveryattempt messageevent", "view"),
    *_rights("governance", "review approval auditentry approvalpath publication", "view"),
    *_rights("console", "dryrun", "view"),
    *_rights("privacy", "retentionmark", "view"),
    *_rights("monitoring", "qualityfigure", "view"),
    *_rights("signups", "signup signupform survey", "view"),
)
_REHEARSE = _rights("console", "dryrun testsend", "make")

_OFFERED = _rights("consent", "topic interest", "add change")
"""What customers can choose on their preference page."""
_PERSONAS = _rights("content", "persona", "add change")

_PICKS = _rights("recommendations", "editorialpicks", "add change")

_CENTRAL_TEAM = (
    *_PERSONAS,
    *_PICKS,
    *_rights("content", "blocktype", "add change"),
    *_rights("content", "block", "add change publish"),
)
"""Of those who look after what is the same everywhere: block types with their fixed values, and everybody's blocks."""

_EVENTS = (
    *_rights("events", "eventschema", "add change"),
    *_rights("events", "deadletter", "view change"),
    *_rights("inbound", "inboundsystem", "view change"),
    *_rights("inbound", "inboundletter", "view"),
)
"""Of those who look after what other systems send: its schemas, and trying again what failed."""

ROLES: tuple[Role, ...] = (
    Role(
        "local_editor",
        "Local editor",
        "writes the blocks of their own markets: what is flexible in them, nothing else",
        (*_SEE, *_REHEARSE, "content.edit_market", *_PERSONAS),
    ),
    Role(
        "engineer",
        "Engineer",
        "owns templates; of the central team, so also block types and the blocks of all markets; schemas of events",
        (
            *_SEE,
            *_REHEARSE,
            *_rights("content", "template", "add change publish"),
            *_CENTRAL_TEAM,
            *_EVENTS,
        ),
    ),
    Role("brand_approver", "Brand approver", "agrees to content for the brand", (*_SEE, *_REHEARSE)),
    Role(
        "legal_approver",
        "Legal approver",
        "agrees to content for the law; writes wordings of consent, and enters privacy policies",
        (
            *_SEE,
            *_REHEARSE,
            *_rights("consent", "wording", "add change"),
            *_rights("consent", "privacypolicy", "add"),
            *_rights("privacy", "rightsrequest", "view"),
        ),
    ),
    Role(
        "publisher",
        "Publisher",
        "sets up audiences and playbooks, writes blocks of their own markets; publishes their own, once others agreed",
        (
            *_SEE,
            *_REHEARSE,
            *_rights("audiences", "audience", "add change"),
            *_rights("playbooks", "playbook", "add change publish run"),
            *_rights("signups", "signupform survey", "add change"),
            *_rights("consent", "wording", "add change publish"),
            *_OFFERED,
            "content.edit_market",
            "content.publish_block",
            *_PERSONAS,
            *_PICKS,
        ),
    ),
    Role("analyst", "Analyst", "reads everything, changes nothing", _SEE),
    Role(
        "administrator",
        "Administrator",
        "looks after people, owners, markets, brands, imports, suppressions and rights of customers; "
        "of the central team; stops any run",
        (
            *_SEE,
            *_REHEARSE,
            *_rights("accounts", "user apiclient", "view add change"),
            "accounts.change_owner",
            *_rights("governance", "approvalpath", "add change"),
            *_rights("auth", "group", "view"),
            *_rights("content", "market brand", "add change"),
            *_CENTRAL_TEAM,
            *_EVENTS,
            *_rights("imports", "import", "add change"),
            *_rights("consent", "suppression privacypolicy", "add"),
            *_rights("consent", "consentplatform", "view add change"),
            *_rights("consent", "purpose", "change"),
            *_rights("privacy", "rightsrequest", "view add change"),
            "privacy.fetch_export",
            *_rights("consent", "wording", "add change publish"),
            *_OFFERED,
            *_rights("profiles", "identifier sealedattribute", "view"),
            *_rights("profiles", "attributedefinition", "add change open"),
            *_rights("profiles", "merge", "view add undo"),
            *_rights("monitoring", "qualityfigure", "measure"),
            *_rights("monitoring", "qualitythreshold", "change"),
            *_rights("webhooks", "webhookendpoint", "view add change"),
            *_rights("signups", "signupform survey", "add change"),
            *_rights("webhooks", "webhookdelivery", "view"),
            "playbooks.stop_playbook",
        ),
    ),
)

ROLE_BY_CODE = {role.code: role for role in ROLES}


def roles_with(*rights: str) -> list[str]:
    """The titles of the roles that have all these rights, in the order of the table."""
    return [role.title for role in ROLES if set(rights) <= set(role.rights)]
