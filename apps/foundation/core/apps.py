from django.apps import AppConfig
from django.db.models.signals import post_migrate

from .append_only import rights_grant


class CoreConfig(AppConfig):
    name = "apps.foundation.core"

    def ready(self) -> None:
        post_migrate.connect(rights_grant)
