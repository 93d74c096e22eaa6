"""The Celery application: `celery -A config worker`, `celery -A config beat`."""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_process_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("tessera")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect
def memory_keep(**_: Any) -> None:
    """Each worker process works on batches."""
    from apps.foundation.core.memory import collect_less  # apps are loaded by now

    collect_less()
