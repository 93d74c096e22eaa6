from django.apps import AppConfig

from apps.foundation.core.outbox import outbox_listen


class WebhooksConfig(AppConfig):
    name = "apps.delivery.webhooks"
    verbose_name = "Webhooks"

    def ready(self) -> None:
        from . import receivers, services  # models are loaded only now
        from .privacy import privacy_register

        assert receivers  # noqa: S101  # imported for what it connects
        outbox_listen(services.news_take)
        privacy_register()
