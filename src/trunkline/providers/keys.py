"""Where a key comes from: the environment, a file (`file:/run/secrets/x`), the system keyring (`keyring:service/name`).

Owns reading it into a `Secret`. A key is never stored, printed or compared with anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trunkline.vocabulary.errors import ConfigurationError
from trunkline.vocabulary.secret import Secret

from .provider import Provider


def secret(said: str) -> Secret:
    """The key that the configuration names: the text itself, or where it is kept."""
    place, colon, rest = said.partition(":")
    if colon and place == "file":
        return Secret(_from_file(Path(rest)))
    if colon and place == "keyring":
        return Secret(_from_keyring(rest))
    return Secret(said.strip())


def key_of(provider: Provider, env: Mapping[str, str], said: str | None) -> Secret | None:
    """A provider's key: its variable, else what the configuration says; None where there is none."""
    value = env.get(provider.key_env, "").strip() if provider.key_env else ""
    if value:
        return secret(value)
    return secret(said) if said else None


def _from_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f"the key's file {path} cannot be read: {error.strerror}") from None


def _from_keyring(place: str) -> str:
    service, _, name = place.partition("/")
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
