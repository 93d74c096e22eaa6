"""Settings of commands that need no server and nothing of an installation, such as `content_test` in a team's CI."""

SECRET_KEY = "nothing is signed with this"  # noqa: S105  # there are no sessions and no links here
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "guardian",
    "reversion",
    "apps.foundation.core",
    "apps.foundation.accounts",
    "apps.foundation.governance",
    "apps.data.profiles",
    "apps.data.consent",
    "apps.data.catalog",
    "apps.data.events",
    "apps.data.features",
    "apps.decisioning.audiences",
    "apps.decisioning.content",
]
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
