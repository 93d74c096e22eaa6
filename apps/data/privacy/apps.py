from django.apps import AppConfig


class PrivacyConfig(AppConfig):
    name = "apps.data.privacy"
    verbose_name = "Privacy"

    def ready(self) -> None:
        from apps.data.profiles.mail import MailKind, mail_goes_elsewhere
        from apps.data.profiles.vault import sealed_column

        from . import receivers  # models are loaded only now
        from .address_changes import COLUMNS, TABLE, confirmations_go_to, notices_go_to
        from .consents import consents_register
        from .opt_ins import opt_ins_register
        from .people import people_register
        from .staff import staff_register

        assert receivers  # noqa: S101  # imported for what it connects
        sealed_column("privacy_exportfile", "key")
        for column in COLUMNS:
            sealed_column(TABLE, column)
        mail_goes_elsewhere(MailKind.ADDRESS, confirmations_go_to)
        mail_goes_elsewhere(MailKind.MOVED, notices_go_to)
        people_register()
        consents_register()
        opt_ins_register()
        staff_register()
