"""How many examples Hypothesis tries: in the quick tests a quarter of what all tests try, and the same in each run."""

import hypothesis


def tries(count: int) -> int:
    """So many examples where the slow tests are run too; a quarter of them, but eight at least, where not."""
    quick = hypothesis.settings.get_current_profile_name() == "quick"
    return max(8, count // 4) if quick else count
