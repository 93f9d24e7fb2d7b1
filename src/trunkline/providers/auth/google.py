"""Google: tokens of a service account, of a person who signed in, or of the machine, renewed as they expire.

Source: cloud.google.com/docs/authentication/application-default-credentials. Owns where credentials are said. Reading
them and the tokens' exchange are google-auth's, which asks for a function that carries its requests: `fetching`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import msgspec

from trunkline.vocabulary.errors import (
    APIConnectionError,
    AuthenticationError,
    ConfigurationError,
    ResponseParseError,
    ServiceError,
    TrunklineError,
)
from trunkline.vocabulary.secret import MASK, Credential, Token

from .renewal import Fresh, Renewed, harmless

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
Info = Mapping[str, Any]
"""What a credentials file holds."""


def credential(options: Mapping[str, str], env: Mapping[str, str]) -> Credential | None:
    """The credentials that Google's own tools would take here: the file that `credentials_file` or
    GOOGLE_APPLICATION_CREDENTIALS names, the text of GOOGLE_APPLICATION_CREDENTIALS_JSON, else those of
    `gcloud auth application-default login` or of the machine. None where nothing speaks of Google Cloud."""
    if file := options.get("credentials_file") or env.get("GOOGLE_APPLICATION_CREDENTIALS"):
        return from_file(file)
    if text := env.get("GOOGLE_APPLICATION_CREDENTIALS_JSON"):
        return from_info(_parsed(text.encode(), "GOOGLE_APPLICATION_CREDENTIALS_JSON"))
    if options.get("project") or env.get("GOOGLE_CLOUD_PROJECT") or _signed_in(env):
        return default()
    return None


def from_file(path: str) -> Credential:
    """The credentials in a file, read when first needed."""

    def load() -> Any:
        try:
            raw = Path(path).expanduser().read_bytes()
        except OSError as error:
            raise ConfigurationError(f"the credentials file {path[:200]} cannot be read: {error.strerror}") from None
        return _loaded(_parsed(raw, f"the credentials file {path}"))

    return _renewed(load)


def from_info(info: Info) -> Credential:
    """The credentials that such a file would hold: a service account's key, say, from a secret store."""
    return _renewed(lambda: _loaded(info))


def default() -> Credential:
    """The application default credentials of this machine and process."""

    def load() -> Any:
        google = _google()
        return google.auth.default(scopes=SCOPES, request=_carrier(google))[0]

    return _renewed(load)


def _signed_in(env: Mapping[str, str]) -> bool:
    """Whether `gcloud auth application-default login` has been here."""
    home = env.get("HOME")
    folder = env.get("CLOUDSDK_CONFIG") or (f"{home}/.config/gcloud" if home else env.get("APPDATA", "") + "/gcloud")
    return Path(folder, "application_default_credentials.json").is_file()


def _parsed(raw: bytes, where: str) -> Info:
    try:
        info: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        info = None
    if not isinstance(info, dict):
        raise ConfigurationError(f"{where} holds no JSON object")
    return cast("Info", info)


def _loaded(info: Info) -> Any:
    """google-auth's credentials. Its reader of all kinds warns its caller to know what he loads: this is the user's."""
    google = _google()
    readers = {
        "service_account": google.oauth2.service_account.Credentials.from_service_account_info,
        "authorized_user": google.oauth2.credentials.Credentials.from_authorized_user_info,
    }
    if (reader := readers.get(info.get("type", ""))) is not None:
        return reader(info, scopes=SCOPES)
    return google.auth.load_credentials_from_dict(info, scopes=SCOPES, request=_carrier(google))[0]


# --- tokens -----------------------------------------------------------------------------------------------------------


def _renewed(load: Callable[[], Any]) -> Credential:
    return Renewed(_Tokens(load).fetch, Token(MASK))


class _Tokens:
    """Credentials, loaded at the first need, and the tokens that they are exchanged for."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load
        self._credentials: Any = None

    def fetch(self) -> Fresh:
        """A new token. Blocks."""
        google = _google()
        try:
            if self._credentials is None:
                self._credentials = self._load()
        except (google.auth.exceptions.GoogleAuthError, KeyError, TypeError, ValueError) as error:
            raise _unusable(google, error) from None
        try:
            self._credentials.refresh(_carrier(google))
        except google.auth.exceptions.GoogleAuthError as error:
            raise _refused(google, error) from None
        except (KeyError, TypeError, ValueError):
            raise ResponseParseError("Google's token endpoint answers something that cannot be read") from None
        expiry: datetime | None = self._credentials.expiry
        expires = math.inf if expiry is None else expiry.replace(tzinfo=UTC).timestamp()
        return Fresh(Token(self._credentials.token), expires)


# google-auth's errors may quote the credentials: they do not go along as causes.


def _unusable(google: Any, error: Exception) -> TrunklineError:
    """Why credentials cannot be loaded."""
    if isinstance(error, TrunklineError):
        return error
    if isinstance(error, google.auth.exceptions.MalformedError) or not isinstance(
        error, google.auth.exceptions.GoogleAuthError
    ):
        return ConfigurationError("the Google credentials cannot be read: a field is missing, or the key is no key")
    return AuthenticationError(f"no Google credentials: {harmless(error)}", status=401, code="missing_api_key")


def _refused(google: Any, error: Any) -> TrunklineError:
    """Why there is no token."""
    told = harmless(error.args[0] if error.args else type(error).__name__)
    if isinstance(error, google.auth.exceptions.TransportError):
        return APIConnectionError(f"Google's tokens cannot be fetched: {told}")
    if error.retryable:
        return ServiceError(f"Google gives no token now: {told}")
    return AuthenticationError(f"Google gives no token: {told}", status=401)


def _carrier(google: Any) -> Any:
    """What carries google-auth's requests. Its HTTP library costs 8 ms that only these credentials have to pay."""
    from . import fetching

    return partial(fetching.ask, google.auth.exceptions.TransportError)


@cache
def _google() -> Any:
    """The library: half of it has no types. Its import takes 0.2 s, which a credential's thread spends."""
    try:
        for module in ("auth", "auth.exceptions", "oauth2.credentials", "oauth2.service_account"):
            import_module(f"google.{module}")
        return import_module("google")
    except ImportError:
        raise ConfigurationError("Google's credentials need the extra: pip install 'trunkline[google]'") from None
