"""Which scope each address and method of the API asks for. What is not listed here fails."""

ANY = "any"
"""Whoever has a key that is good."""

ENDPOINTS: dict[str, dict[str, str]] = {
    "api/v1/client": {"get": ANY},
    "api/v1/audiences": {"get": "audiences:read", "post": "audiences:write"},
    "api/v1/audiences/<int:audience_id>": {"get": "audiences:read", "patch": "audiences:write"},
    "api/v1/audiences/<int:audience_id>/count": {"get": "audiences:read"},
    "api/v1/audiences/<int:audience_id>/people/<int:profile_id>": {"get": "audiences:read"},
    "api/v1/changes": {"get": "changes:read"},
    "api/v1/decisions": {"get": "decisions:read", "post": "decisions:make"},
    "api/v1/decisions/<uuid:decision_id>": {"get": "decisions:read"},
    "api/v1/events": {"post": "events:write"},
    "api/v1/items": {"get": "items:read", "post": "items:write"},
    "api/v1/items/bulk": {"post": "items:write"},
    "api/v1/items/<int:item_id>": {"get": "items:read", "patch": "items:write"},
    "api/v1/profiles": {"get": "profiles:read", "post": "profiles:write"},
    "api/v1/profiles/bulk": {"post": "profiles:write"},
    "api/v1/profiles/lookup": {"post": "profiles:read"},
    "api/v1/profiles/<int:profile_id>": {"get": "profiles:read", "patch": "profiles:write"},
    "api/v1/profiles/<int:profile_id>/identifiers": {"post": "profiles:write"},
    "api/v1/profiles/<int:profile_id>/consents": {"get": "consents:read", "post": "consents:write"},
    "api/v1/profiles/<int:profile_id>/consents/ledger": {"get": "consents:read"},
    "api/v1/profiles/<int:profile_id>/preferences": {"get": "preferences:read", "patch": "preferences:write"},
    "api/v1/journeys": {"post": "runs:write"},
    "api/v1/messages": {"get": "messages:read"},
    "api/v1/messages/<uuid:message_id>": {"get": "messages:read"},
    "api/v1/messages/<uuid:message_id>/events": {"get": "messages:read"},
    "api/v1/messages/<uuid:message_id>/shown": {"post": "messages:fetch"},
    "api/v1/profiles/<int:profile_id>/waiting": {"get": "messages:fetch"},
    "api/v1/playbooks": {"get": "playbooks:read"},
    "api/v1/playbooks/<int:playbook_id>": {"get": "playbooks:read"},
    "api/v1/playbooks/<int:playbook_id>/versions": {"get": "playbooks:read"},
    "api/v1/playbooks/<int:playbook_id>/versions/<int:number>": {"get": "playbooks:read"},
    "api/v1/runs": {"get": "playbooks:read", "post": "runs:write"},
    "api/v1/runs/<int:run_id>": {"get": "playbooks:read"},
    "api/v1/runs/<int:run_id>/pause": {"post": "runs:write"},
    "api/v1/runs/<int:run_id>/resume": {"post": "runs:write"},
    "api/v1/runs/<int:run_id>/cancel": {"post": "runs:write"},
    "api/v1/promotions": {"get": "promotions:read", "post": "promotions:write"},
    "api/v1/promotions/bulk": {"post": "promotions:write"},
    "api/v1/promotions/<int:promotion_id>": {"get": "promotions:read", "patch": "promotions:write"},
    "api/v1/tickets": {"get": "tickets:read", "post": "tickets:write"},
    "api/v1/tickets/bulk": {"post": "tickets:write"},
    **{
        f"v1/{call}": {"post": "events:write"}
        for call in ("track", "identify", "page", "screen", "group", "alias", "batch", "import")
    },
}
"""Route → method → scope. Every other method of a route is 405, for everybody."""
