"""Staff, and the clients of the API. A *user* is somebody who works in Tessera; a customer is a Profile."""

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from django.db.models import Q

from apps.foundation.core.clock import now
from apps.foundation.core.ids import uuid7

from .api_scopes import KINDS_OF_CLIENTS


class StaffManager(UserManager["User"]):
    """Makes users by their e-mail address, which is what they sign in with."""

    def _create_user(self, email: str, password: str | None, **extra: Any) -> "User":
        user = self.model(email=self.normalize_email(email).lower(), **extra)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_user(  # type: ignore[override]  # no user name here
        self, email: str, password: str | None = None, **extra: Any
    ) -> "User":
        return self._create_user(email, password, **{"is_staff": True, **extra})

    def create_superuser(  # type: ignore[override]
        self, email: str, password: str | None = None, **extra: Any
    ) -> "User":
        return self._create_user(email, password, **{**extra, "is_staff": True, "is_superuser": True})


class User(AbstractUser):
    """A member of staff. Roles are groups (`roles.py`)."""

    username = None  # type: ignore[assignment]  # they sign in with their address
    email = models.EmailField("e-mail address", unique=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects: ClassVar[StaffManager] = StaffManager()

    class Meta(AbstractUser.Meta):
        permissions = [("change_owner", "Can hand over what others own")]

    def __str__(self) -> str:
        return self.get_full_name() or self.email


class ApiClient(models.Model):
    """A system that uses the API. It acts for its owner: what people need a right for, it may only if they may.

    code: names what it writes, as the source `api:code`; scopes: of `api_scopes.py`; reach: what it is limited to and
    trusted for, by the keys of `api_reach.py`, an absent one is no limit; per_minute: what it may ask for in each
    scope, requests, events and rows.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    code = models.SlugField(max_length=40, unique=True, help_text="stands as the source of what it writes")
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=16, choices=[(kind.code, kind.title) for kind in KINDS_OF_CLIENTS])
    scopes = models.JSONField(default=list)
    reach = models.JSONField(default=dict, blank=True)
    per_minute = models.PositiveIntegerField(
        "at most a minute",
        null=True,
        blank=True,
        help_text="requests, events and rows, in each scope; empty: what the installation allows",
    )
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="api_clients")
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        verbose_name = "API client"
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(per_minute__gt=0) | Q(per_minute=None), name="api_client_may_ask_at_least_once"
            )
        ]

    def __str__(self) -> str:
        return self.name


class ApiKey(models.Model):
    """A key of a client: its digest, never the key itself, which is shown once. hint: its last four characters."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    client = models.ForeignKey(ApiClient, on_delete=models.CASCADE, related_name="keys")
    digest = models.BinaryField(max_length=32)
    hint = models.CharField(max_length=4)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="empty: it doesn't end by itself")
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="to the minute")

    class Meta:
        verbose_name = "API key"
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["digest"], name="api_key_opens_one_client")]

    def __str__(self) -> str:
        return f"…{self.hint} of {self.client_id}"
