from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "apps.surfaces.api"
    verbose_name = "API"

    def ready(self) -> None:
        from . import schema  # what it connects is for drf-spectacular; models are loaded only now
        from .privacy import privacy_register
        from .sources import numbers_declare
        from .v1.events.describing import operations_declare

        assert schema  # noqa: S101  # imported for what it declares
        privacy_register()
        numbers_declare()
        operations_declare()
