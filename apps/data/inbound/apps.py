from django.apps import AppConfig


class InboundConfig(AppConfig):
    name = "apps.data.inbound"
    verbose_name = "Inbound"

    def ready(self) -> None:
        """Say what it holds of people."""
        from .privacy import privacy_register  # models are loaded only now

        privacy_register()
