from django.apps import AppConfig


class PrivacyConfig(AppConfig):
    name = "apps.data.privacy"
    verbose_name = "Privacy"

    def ready(self) -> None:
        from apps.data.profiles.vault import sealed_column

        from . import receivers  # models are loaded only now
        from .consents import consents_register
        from .opt_ins import opt_ins_register
        from .people import people_register
        from .staff import staff_register

        assert receivers  # noqa: S101  # imported for what it connects
        sealed_column("privacy_exportfile", "key")
        people_register()
        consents_register()
        opt_ins_register()
        staff_register()
