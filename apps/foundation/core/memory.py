"""How a process that works on batches keeps its memory."""

import gc


def collect_less() -> None:
    """Leave what was loaded out of garbage collection for good, and look for cycles less often (Python, `gc`).

    A batch makes ten thousands of objects that live until it ends; with the defaults each of them is looked at over and
    over, and so is the whole of Django. Cycles are few here, and still found. Call it once all is loaded.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
