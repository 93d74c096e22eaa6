import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

django_application = get_wsgi_application()

from apps.foundation.core.straight import Straight  # noqa: E402  # Django is set up before
from apps.surfaces.api.v1.decisions.asking import answers_warm  # noqa: E402

application = Straight(django_application)
answers_warm()
# What was loaded is left out of garbage collection for good, and cycles are looked for less often (Python, `gc`): with
# the defaults the whole of Django is looked at over and over, and whoever asks just then waits for it.
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 20)
