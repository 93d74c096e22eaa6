"""A short way for what programs ask a thousand times a second: from WSGI to the view, past Django's handler.

Django's signals about a request and the middlewares take longer than a view that is asked for little. What they see to
holds here too. It is not done again but taken from them: the headers that they put on every answer are read off an
answer of theirs, and a request that is anything but usual (a host that is not ours, no HTTPS where there must be,
another address) goes Django's way and is answered there.

A view that is reached so may not leave a transaction or a connection of its thread behind: nobody closes what is old.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils.module_loading import import_string

from .middleware import RequestIdMiddleware

Environ = dict[str, Any]
Start = Callable[..., Any]
Application = Callable[[Environ, Start], Iterable[bytes]]

_HOSTS_MOST: Final = 100


class Straight:
    """Leads requests of some addresses (setting STRAIGHT) to their views, all others to the application."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._views = {
            tuple(address.split(" ")): RequestIdMiddleware(import_string(view))
            for address, view in settings.STRAIGHT.items()
        }
        self._hosts: set[str] = set()
        self._headers: dict[bool, Mapping[str, str]] = {}

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        view = self._views.get((environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")))
        if view is None or environ.get("SCRIPT_NAME"):
            return self._application(environ, start)
        request = WSGIRequest(environ)
        secure = request.is_secure()
        if not (self._host_known(request) and (secure or not settings.SECURE_SSL_REDIRECT)):
            return self._application(environ, start)
        response = view(request)
        content = response.content
        said = {**self._said(request, secure=secure), **response.headers, "Content-Length": str(len(content))}
        start(f"{response.status_code} {response.reason_phrase}", list(said.items()))
        return [content]

    def _host_known(self, request: WSGIRequest) -> bool:
        """Whether the host is one of ours."""
        host = request.META.get("HTTP_HOST", "")
        if host in self._hosts and not settings.USE_X_FORWARDED_HOST:
            return True
        try:
            request.get_host()
        except DisallowedHost:
            return False
        if len(self._hosts) < _HOSTS_MOST:
            self._hosts.add(host)
        return True

    def _said(self, request: HttpRequest, *, secure: bool) -> Mapping[str, str]:
        """What the middlewares say on every answer."""
        said = self._headers.get(secure)
        if said is None:

            def nothing(_: HttpRequest) -> HttpResponse:
                return HttpResponse()

            empty: Any = SecurityMiddleware(XFrameOptionsMiddleware(nothing))(request)
            said = {name: value for name, value in empty.headers.items() if name != "Content-Type"}
            self._headers[secure] = said
        return said
