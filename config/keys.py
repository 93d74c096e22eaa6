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


def lookup_keys_read(entries: list[str], first: str) -> dict[int, bytes]:
    """The setting `LOOKUP_KEYS`: version to key, the one that new digests carry first. Raises EnvError.

    first: the key of version 1 (`ADDRESS_KEY`), which is the only one where nothing is set.
    """
    keys: dict[int, bytes] = {}
    for entry in entries:
        name, _, secret = entry.strip().partition(":")
        if not (name.isascii() and name.isdigit() and 1 <= int(name) <= 255) or len(secret) < 16:
            raise EnvError("LOOKUP_KEYS needs `version:key`: a version from 1 to 255, a key of 16 characters or more")
        if int(name) in keys:
            raise EnvError(f"LOOKUP_KEYS has two keys of version {name}: each needs a version of its own")
        if int(name) == 1 and secret != first:
            raise EnvError("LOOKUP_KEYS: version 1 is ADDRESS_KEY; a new key has a new version")
        keys[int(name)] = secret.encode()
    return keys or {1: first.encode()}
