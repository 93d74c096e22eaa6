from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "apps.foundation.accounts"
    verbose_name = "People"

    def ready(self) -> None:
        from .services import roles_sync  # models are loaded only now

        post_migrate.connect(roles_sync, dispatch_uid="roles")
