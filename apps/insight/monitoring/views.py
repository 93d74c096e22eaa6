"""Health, for balancers and supervisors; figures, for Prometheus."""

import hmac

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apps.foundation.core.caches import caches_counted


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "down"
    return "up"


def _redis() -> str:
    try:
        redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1).ping()
    except redis.RedisError:
        return "down"
    return "up"


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 when PostgreSQL and Redis answer, else 503; says which does not."""
    parts = {"database": _database(), "redis": _redis()}
    return JsonResponse(parts, status=200 if set(parts.values()) == {"up"} else 503)


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures of all processes in Prometheus' text format 0.0.4, for who brings `METRICS_KEY` as a bearer."""
    given = request.META.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
    if not settings.METRICS_KEY or not hmac.compare_digest(given.encode(), settings.METRICS_KEY.encode()):
        raise Http404
    try:
        counted = caches_counted()
    except redis.RedisError:
        return HttpResponse(status=503)
    lines = [
        "# HELP tessera_cache_asked_total How often the memory of a process was asked, and whether it had it.",
        "# TYPE tessera_cache_asked_total counter",
        *(
            f'tessera_cache_asked_total{{cache="{cache}",result="{result}"}} {count}'
            for (cache, result), count in sorted(counted.items())
        ),
    ]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; version=0.0.4; charset=utf-8")
