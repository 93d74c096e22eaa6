"""Mail providers as the settings name them. Pure; loud about what can't be meant."""

from collections.abc import Mapping
from typing import Any, Final

from environs import EnvError

HOOKS: Final = {
    "ses": "topics of Amazon SNS, such as arn:aws:sns:eu-west-1:123456789012:mail, with | between them",
    "sendgrid": "the verification key that SendGrid shows",
    "postmark": "user:password, as in the address that Postmark was given",
    "mailjet": "user:password, as in the address that Mailjet was given",
}
"""Providers whose reports can be taken, and what makes known that it is them."""


def mail_hooks_read(given: object) -> dict[str, str]:
    """MAIL_HOOKS: provider → what makes it known. Raises EnvError, never with a secret in it."""
    if not isinstance(given, Mapping):
        raise EnvError('MAIL_HOOKS: give JSON such as {"postmark": "user:password"}')
    read: dict[str, str] = {}
    for provider, secret in given.items():
        if provider not in HOOKS:
            raise EnvError(f"MAIL_HOOKS: there is no provider {provider!r}; there are {', '.join(HOOKS)}")
        if not _fits(provider, secret):
            raise EnvError(f"MAIL_HOOKS: {provider} needs {HOOKS[provider]}")
        read[provider] = secret
    return read


def mail_providers_read(given: object) -> list[tuple[str, dict[str, Any]]]:
    """MAIL_PROVIDERS, the preferred one first: name and options each; `smtp` is the relay of SMTP_URL.

    Raises EnvError, never with a secret in it.
    """
    wrong = 'MAIL_PROVIDERS: give JSON such as ["smtp", {"provider": "postmark", "server_token": "…"}]'
    if not isinstance(given, list) or not given:
        raise EnvError(wrong)
    read: list[tuple[str, dict[str, Any]]] = []
    for entry in given:
        options = {"provider": entry} if entry == "smtp" else dict(entry) if isinstance(entry, Mapping) else {}
        name = options.pop("provider", None)
        if not isinstance(name, str) or any(name == known for known, _ in read):
            raise EnvError(f"{wrong}, each once")
        read.append((name, options))
    return read


def sms_providers_read(given: object) -> list[tuple[str, dict[str, Any]]]:
    """SMS_PROVIDERS, the preferred one first: name and options each. Raises EnvError, never with a secret in it."""
    wrong = 'SMS_PROVIDERS: give JSON such as [{"provider": "twilio", "account_sid": "AC…", "auth_token": "…", '
    wrong += '"from": "+43…"}, {"provider": "webhook", "url": "https://…", "secret": "whsec_…"}]; a second has a "name"'
    if not isinstance(given, list):
        raise EnvError(wrong)
    read: list[tuple[str, dict[str, Any]]] = []
    for entry in given:
        options = dict(entry) if isinstance(entry, Mapping) else {}
        provider = options.pop("provider", None)
        name = options.pop("name", provider)
        fits = isinstance(name, str) and name.isascii() and name.replace("-", "").isalnum()
        if provider not in ("twilio", "webhook") or not fits or any(name == known for known, _ in read):
            raise EnvError(f"{wrong}, each name once")
        read.append((name, options))
    return read


def _fits(provider: str, secret: Any) -> bool:
    if not isinstance(secret, str) or len(secret) < 12:
        return False
    if provider == "ses":
        return all(topic.startswith("arn:aws") for topic in secret.split("|"))
    return provider == "sendgrid" or ":" in secret


def dkim_keys_read(given: object) -> dict[str, dict[str, str]]:
    """DKIM_KEYS: domain → selector → path of the private key. Raises EnvError."""
    wrong = 'DKIM_KEYS: give JSON such as {"shop.example": {"s2026": "/run/secrets/dkim.pem"}}'
    if not isinstance(given, Mapping):
        raise EnvError(wrong)
    read: dict[str, dict[str, str]] = {}
    for domain, keys in given.items():
        if not isinstance(keys, Mapping) or not all(isinstance(path, str) and path for path in keys.values()):
            raise EnvError(wrong)
        read[str(domain)] = {str(selector): path for selector, path in keys.items()}
    return read
