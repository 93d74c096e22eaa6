"""Staff. A *user* is somebody who works in Tessera; a customer is a Profile."""

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models


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
