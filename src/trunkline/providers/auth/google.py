"""Google: tokens of a service account, of a person who signed in, or of the machine, renewed as they expire.

Source: cloud.google.com/docs/authentication/application-default-credentials. Owns where credentials are said, and the
few requests that fetch tokens. Reading credentials and the tokens' exchange are google-auth's, which asks for a
function that carries its requests: the standard library does, over TLS, or in the clear to this machine itself and to
the metadata server that Google's own machines have.
"""

from __future__ import annotations

import http.client
import math
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

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
METADATA = frozenset({"metadata.google.internal", "169.254.169.254"})
"""Google's machines ask here in the clear: the address is on the machine's own link."""
SECONDS = 30.0
"""For one request to a token endpoint."""
MOST = 2**20
"""Bytes of its answer: a token is some hundred."""

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
        return google.auth.default(scopes=SCOPES, request=_ask)[0]

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
    return google.auth.load_credentials_from_dict(info, scopes=SCOPES, request=_ask)[0]


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
            self._credentials.refresh(_ask)
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


@cache
def _google() -> Any:
    """The library: half of it has no types. Its import takes 0.2 s, which a credential's thread spends."""
    try:
        for module in ("auth", "auth.exceptions", "oauth2.credentials", "oauth2.service_account"):
            import_module(f"google.{module}")
        return import_module("google")
    except ImportError:
        raise ConfigurationError("Google's credentials need the extra: pip install 'trunkline[google]'") from None


# --- requests ---------------------------------------------------------------------------------------------------------


class _Answer(NamedTuple):
    """What google-auth looks at."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token endpoint does not move: whoever says so would be given the key's signature."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        """Nowhere: the redirect itself is the answer."""


@cache
def _opener(*, nearby: bool) -> urllib.request.OpenerDirector:
    """Made at the first need: it reads the machine's certificates and proxies. None leads to what is nearby."""
    return urllib.request.build_opener(_NoRedirect, *[urllib.request.ProxyHandler({})] * nearby)


def _ask(
    url: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    **_: Any,
) -> _Answer:
    """One HTTP request, as `google.auth.transport.Request` describes it."""
    failed: Any = _google().auth.exceptions.TransportError
    host = urlsplit(url).hostname or ""
    secure = url.startswith("https://")
    if not secure and not (url.startswith("http://") and _is_nearby(host)):
        raise failed(f"{host} must be asked over https")
    request = urllib.request.Request(url, body, dict(headers or {}), method=method)  # noqa: S310 checked above
    try:
        with _opener(nearby=not secure).open(request, timeout=timeout or SECONDS) as answer:
            return _Answer(answer.status, dict(answer.headers), answer.read(MOST))
    except urllib.error.HTTPError as refusal:
        with refusal:
            return _Answer(refusal.code, dict(refusal.headers), refusal.read(MOST))
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise failed(f"{host} does not answer ({type(reason).__name__})") from None


def _is_nearby(host: str) -> bool:
    try:
        return ip_address(host).is_loopback or host in METADATA
    except ValueError:
        return host in METADATA or host == "localhost"
