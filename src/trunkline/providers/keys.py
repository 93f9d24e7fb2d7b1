"""Where a key comes from: the environment, a file (`file:/run/secrets/x`), the system keyring (`keyring:service/name`).

Owns reading it into a `Secret`. A key is never stored, printed or compared with anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from trunkline.vocabulary.errors import ConfigurationError
from trunkline.vocabulary.secret import Credential, Secret

from .auth.azure import TokenCallback
from .provider import Provider

FILE = "file:"
KEYRING = "keyring:"


def secret(said: str, where: str = "the key") -> Secret:
    """The key that was said: the text itself, or where it is kept. `where` is what a complaint calls it."""
    said = said.strip()
    if said.startswith(FILE):
        where = f"the key's file {said.removeprefix(FILE)}"
        key = _from_file(said.removeprefix(FILE), where)
    elif said.startswith(KEYRING):
        key = _from_keyring(said.removeprefix(KEYRING))
    else:
        key = said
    if not key:
        raise ConfigurationError(f"{where} is empty")
    if not key.isascii() or not key.isprintable():
        raise ConfigurationError(f"{where} holds more than one line of plain characters: no header can carry it")
    return Secret(key)


Key = str | Secret | Credential | Callable[[], str | Awaitable[str]]
"""A key as a program gives it: itself or where it is kept, what has a fresh one when asked, or a function that gives
a token."""


def given(key: Key, where: str) -> Secret | Credential:
    """The key that a program gave."""
    if isinstance(key, str):
        return secret(key, where)
    return TokenCallback(key) if callable(key) else key


def key_of(provider: Provider, env: Mapping[str, str], said: str | None) -> Secret | None:
    """A provider's key: its variable, else what the configuration says; None where there is none."""
    for name in (provider.key_env, *provider.key_env_also):
        if name is not None and (value := env.get(name, "").strip()):
            return secret(value, f"the variable {name}")
    return secret(said) if said else None


def _from_file(name: str, where: str) -> str:
    try:
        return Path(name).expanduser().read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise ConfigurationError(f"{where} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{where} is not text") from None


def _from_keyring(place: str) -> str:
    service, _, name = place.partition("/")
    if not service or not name:
        raise ConfigurationError(f"'{KEYRING}{place}' names no key: write {KEYRING}service/name")
    try:
        import keyring
        import keyring.errors
    except ImportError:
        raise ConfigurationError("the keyring needs the extra: pip install 'trunkline[keyring]'") from None
    try:
        key = keyring.get_password(service, name)
    except keyring.errors.KeyringError as error:
        raise ConfigurationError(f"this machine's keyring gives no keys: {type(error).__name__}") from None
    if key is None:
        raise ConfigurationError(f"the keyring holds no key '{name}' for the service '{service}'")
    return key
