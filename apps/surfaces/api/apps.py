from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "apps.surfaces.api"
    verbose_name = "API"

    def ready(self) -> None:
        from . import schema  # what it connects is for drf-spectacular; models are loaded only now
        from .privacy import privacy_register

        assert schema  # noqa: S101  # imported for what it declares
        privacy_register()
