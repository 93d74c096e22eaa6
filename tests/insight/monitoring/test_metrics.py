"""Figures for Prometheus: of all processes together, and only for who has the key."""

from typing import Any

import pytest
from django.test import Client

from apps.foundation.core import caches
from apps.foundation.core.caches import Cache, caches_counted, caches_tell
from apps.foundation.core.quick import redis_quick


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Cache[str, int]:
    """A memory that was asked three times and had it twice."""
    monkeypatch.setattr(caches, "_caches", {})
    monkeypatch.setattr(caches, "_told", {})
    monkeypatch.setattr(caches, "_TOLD", "caches:tried")
    redis_quick(settings.REDIS_URL, 0.25).delete("caches:tried")
    cache: Cache[str, int] = Cache("tried", "tried", "CACHE_CATALOG_SECONDS")
    assert [cache.get("a", {}, lambda: 1) for _ in range(3)] == [1, 1, 1]
    return cache


def _tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "_tell_at", 0.0)
    caches_tell()


def test_what_processes_counted_adds_up_once(counted: Cache[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    _tell(monkeypatch)
    _tell(monkeypatch)
    assert caches_counted() == {("tried", "hit"): 2, ("tried", "miss"): 1}
    counted.get("b", {}, lambda: 1)
    caches_tell()  # not yet ten seconds later
    assert caches_counted()["tried", "miss"] == 1
    _tell(monkeypatch)
    assert caches_counted() == {("tried", "hit"): 2, ("tried", "miss"): 2}


def test_redis_away_nothing_is_lost(counted: Cache[str, int], monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    there, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:1/0"
    _tell(monkeypatch)
    settings.REDIS_URL = there
    _tell(monkeypatch)
    assert caches_counted() == {("tried", "hit"): 2, ("tried", "miss"): 1}


def test_figures_are_for_who_has_the_key(
    counted: Cache[str, int], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    _tell(monkeypatch)
    assert Client().get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404
    settings.METRICS_KEY = "a long secret"
    assert Client().get("/metrics", headers={"Authorization": "Bearer a long secre"}).status_code == 404
    told = Client().get("/metrics", headers={"Authorization": "Bearer a long secret"})
    assert told["Content-Type"].startswith("text/plain; version=0.0.4")
    assert told.content.decode().splitlines()[1:] == [
        "# TYPE tessera_cache_asked_total counter",
        'tessera_cache_asked_total{cache="tried",result="hit"} 2',
        'tessera_cache_asked_total{cache="tried",result="miss"} 1',
    ]
