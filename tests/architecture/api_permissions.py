"""Which scope each address and method of the API asks for. What is not listed here fails."""

ANY = "any"
"""Whoever has a key that is good."""

ENDPOINTS: dict[str, dict[str, str]] = {
    "api/v1/client": {"get": ANY},
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
    "api/v1/promotions": {"get": "promotions:read", "post": "promotions:write"},
    "api/v1/promotions/bulk": {"post": "promotions:write"},
    "api/v1/promotions/<int:promotion_id>": {"get": "promotions:read", "patch": "promotions:write"},
    "api/v1/tickets": {"get": "tickets:read", "post": "tickets:write"},
    "api/v1/tickets/bulk": {"post": "tickets:write"},
}
"""Route → method → scope. Every other method of a route is 405, for everybody."""
