from django.apps import AppConfig


class SendingConfig(AppConfig):
    name = "apps.delivery.sending"
