from django.apps import AppConfig


class SignupsConfig(AppConfig):
    name = "apps.surfaces.signups"
    verbose_name = "Sign-up"

    def ready(self) -> None:
        from apps.data.consent.opt_ins import opt_in_listen

        from .privacy import privacy_register
        from .sign_ups import opt_in_confirmed

        opt_in_listen(opt_in_confirmed)
        privacy_register()
