"""The Celery application: `celery -A config worker`, `celery -A config beat`."""

import gc
import os
from typing import Any

from celery import Celery
from celery.signals import worker_process_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("tessera")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect
def collect_less(**_: Any) -> None:
    """Leave what was loaded out of garbage collection for good, and look for cycles less often (Python, `gc`).

    A batch makes ten thousands of objects that live until it ends; with the defaults each of them is looked at over and
    over, and so is the whole of Django. Cycles are few here, and still found.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
