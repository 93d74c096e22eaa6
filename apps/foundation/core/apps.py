from django.apps import AppConfig
from django.db.models.signals import post_migrate

from .append_only import rights_grant
from .reporting import crashes_report_plainly


class CoreConfig(AppConfig):
    name = "apps.foundation.core"

    def ready(self) -> None:
        post_migrate.connect(rights_grant)
        crashes_report_plainly()
