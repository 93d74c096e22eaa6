"""Keys given as settings: read and checked when the settings are."""

from base64 import b64decode
from binascii import Error as Base64Error

from environs import EnvError


def master_keys_read(entries: list[str]) -> dict[str, bytes]:
    """The setting `MASTER_KEYS`: id to 32 bytes, the one that wraps first. Raises EnvError."""
    keys: dict[str, bytes] = {}
    for entry in entries:
        name, _, text = entry.strip().partition(":")
        try:
            key = b64decode(text, validate=True)
        except (Base64Error, ValueError):
            key = b""
        if not (name.isascii() and name.isalnum() and len(name) <= 20) or len(key) != 32:
            raise EnvError("MASTER_KEYS needs `id:key`: an id of letters and digits, a key of 32 bytes as base64")
        if name in keys:
            raise EnvError(f"MASTER_KEYS has two keys with the id {name}: each needs an id of its own")
        keys[name] = key
    if not keys:
        raise EnvError("MASTER_KEYS is empty: give one key at least, as `id:key`")
    return keys
