from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    name = "apps.insight.monitoring"

    def ready(self) -> None:
        from .privacy import privacy_register  # models are loaded only now

        privacy_register()
