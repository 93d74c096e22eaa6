"""Makes clients of the API, and asks as one of them."""

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

import orjson
from django.test import Client

from apps.foundation.accounts.api_clients import client_create, key_issue
from apps.foundation.accounts.api_scopes import KIND_OF_CLIENT
from apps.foundation.accounts.models import ApiClient, User
from tests.factories import make_user

_number = count(1)


class Asker:
    """A client of the API with a key; its answers are read as JSON."""

    def __init__(self, client: ApiClient, key: str) -> None:
        self.client = client
        self.key = key
        self._browser = Client(raise_request_exception=False)

    @property
    def client_source(self) -> str:
        """What stands as the source of what it writes."""
        return f"api:{self.client.code}"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Ask below /api/v1/, or anywhere by a path from the root. headers: with `_` for `-`."""
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        said.setdefault("Authorization", f"Bearer {self.key}")
        raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        kind = said.pop("Content-Type", "application/json")
        whole = path if path.startswith("/") else f"/api/v1/{path}"
        return self._browser.generic(method, whole, raw, content_type=kind, headers=said)

    def get(self, path: str, **headers: str) -> Any:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.ask("POST", path, {} if body is None else body, **headers)

    def patch(self, path: str, body: Any, **headers: str) -> Any:
        return self.ask("PATCH", path, body, **headers)


def make_asker(
    *scopes: str,
    kind: str = "system",
    owner: User | None = None,
    reach: Mapping[str, Iterable[str]] | None = None,
    per_minute: int | None = None,
) -> Asker:
    """A client with these scopes (without any: all of its kind), and a key."""
    administrator = make_user("administrator")
    client = client_create(
        by=administrator,
        code=f"client-{next(_number)}",
        name="Web shop",
        kind=kind,
        scopes=scopes or sorted(KIND_OF_CLIENT[kind].scopes),
        reach={key: list(values) for key, values in (reach or {}).items()},
        per_minute=per_minute,
        owner=owner or administrator,
    )
    return Asker(client, key_issue(client_id=client.pk, by=administrator)[1])


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The problem of an answer, which is one of this status and code."""
    said: dict[str, Any] = orjson.loads(answer.content)
    assert (answer.status_code, said.get("code")) == (status, code), (answer.status_code, said)
    assert answer["Content-Type"] == "application/problem+json"
    assert said["type"] == f"urn:tessera:problem:{code}"
    assert said["status"] == status
    assert said["title"]
    assert said["detail"]
    assert said["instance"] == f"urn:uuid:{answer['X-Request-Id']}"
    return said
