"""What crosses to other apps: the client of the API that a request comes from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Caller:
    """A client of the API, as one of its keys opened it.

    code: names what it writes (`source`); scopes: what it may do; reach: which objects, by the key of a limit
    (`api_reach.py`); owner_id: the member of staff for whom it acts in what people need rights for; per_minute:
    requests it may make in each scope, None for what the settings say.
    """

    client_id: UUID
    key_id: UUID
    code: str
    kind: str
    scopes: frozenset[str]
    owner_id: int
    reach: Mapping[str, frozenset[str]] = field(default_factory=dict)
    per_minute: int | None = None

    @property
    def source(self) -> str:
        """What stands as the source of what it writes."""
        return f"api:{self.code}"

    def may(self, scope: str) -> bool:
        """Whether it has a scope."""
        return scope in self.scopes

    def reaches(self, key: str, value: str) -> bool:
        """Whether an object is within its limits; where none are set, all are."""
        return key not in self.reach or value in self.reach[key]

    def within(self, key: str) -> frozenset[str] | None:
        """The objects it is limited to; None for all."""
        return self.reach.get(key)

    def trusted_for(self, kind: str) -> bool:
        """Whether identifiers of a kind count as verified when it sends them; none does unless that was said."""
        return kind in self.reach.get("trusted_identifiers", ())
