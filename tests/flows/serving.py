"""The web application, for a server of the tests' own: it waits for Redis as `patient` in `tests/conftest.py` does.

In production whoever counts tries does without Redis after a twentieth of a second, and lets the try through. Where a
thousand come at once on two processors that also run the tests, that would be one or the other of them.
"""

from apps.foundation.core import limits
from config.wsgi import application

limits._WAIT_SECONDS = 10.0

__all__ = ["application"]
