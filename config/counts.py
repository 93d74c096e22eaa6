"""Counts by name, given as one setting in JSON: read and checked when the settings are."""

from environs import EnvError


def counts_read(name: str, data: object) -> dict[str, int]:
    """A setting that is a JSON object of positive whole numbers. Raises EnvError, which names the setting."""
    if not isinstance(data, dict) or not all(type(value) is int and value > 0 for value in data.values()):
        raise EnvError(f"{name} must be a JSON object: name to a whole number above zero")
    return {str(key): value for key, value in data.items()}
