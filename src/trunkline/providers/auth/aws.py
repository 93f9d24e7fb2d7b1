"""AWS: keys that sign each request (Signature Version 4), and where they are found.

Source: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. Owns the shape of such a key
and what of a request is signed. Finding keys (environment, profile, container, instance, assumed role) and the
arithmetic of the signature are botocore's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from msgspec.structs import replace

from trunkline.vocabulary.errors import (
    APIConnectionError,
    AuthenticationError,
    ConfigurationError,
    TrunklineError,
)
from trunkline.vocabulary.protocols import Sending
from trunkline.vocabulary.secret import MASK, Credential, Secret

from .plain import Auth, bearer, with_headers
from .renewal import Fresh, Renewed, harmless


class AwsKey(Secret):
    """An AWS key: its id, its secret, for a temporary one the session's token, and the region of addresses that name
    none. It signs and is never sent."""

    __slots__ = ("access_key", "region", "session_token")

    def __init__(
        self, access_key: str, secret_key: str, session_token: str | None = None, region: str | None = None
    ) -> None:
        super().__init__(secret_key)
        self.access_key = access_key
        self.session_token = session_token
        self.region = region

    @property
    def secret_key(self) -> str:
        """What the signature is made with."""
        return self._value

    def reveal(self) -> str:
        """Refused: a provider that wants a key sent must not get this one."""
        raise ConfigurationError("an AWS key signs requests: this provider takes a key that is sent")

    def masked(self) -> Secret:
        """A stand-in that signs: its signature opens nothing."""
        return AwsKey(MASK, MASK, MASK if self.session_token else None, self.region)

    def _parts(self) -> list[str]:
        return [part for part in (self._value, self.session_token, self.access_key) if part]


# --- signing ----------------------------------------------------------------------------------------------------------


def _now() -> datetime:
    return datetime.now(UTC)


def sigv4(service: str, now: Callable[[], datetime] = _now) -> Auth:
    """Signs with an AwsKey. A key that is none (`AWS_BEARER_TOKEN_BEDROCK`) goes as bearer.

    Host, content type, date, session token and body are signed; other headers may be changed by proxies on their way.
    The region is the one in the address, else the key's.
    """

    def signed(sending: Sending, key: Secret) -> Sending:
        if not isinstance(key, AwsKey):
            return bearer(sending, key)
        url = _settled(sending.url)
        region = _region_of(url) or key.region
        if region is None:
            raise ConfigurationError("the address names no AWS region: set AWS_REGION, or the option aws_region")
        headers = {"x-amz-date": now().astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")}
        if key.session_token:
            headers["x-amz-security-token"] = key.session_token
        typed = {name: value for name, value in sending.headers.items() if name.lower() == "content-type"}
        headers["authorization"] = _authorization(sending, url, {**typed, **headers}, key, service, region)
        return with_headers(replace(sending, url=url), headers)

    return signed


def _authorization(
    sending: Sending, url: str, headers: Mapping[str, str], key: AwsKey, service: str, region: str
) -> str:
    """The header, step by step and not by `add_auth`, which logs the session token and reads a clock of its own."""
    boto = _botocore()
    credentials = boto.credentials.Credentials(key.access_key, key.secret_key, key.session_token)
    signer = boto.auth.SigV4Auth(credentials, service, region)
    request = boto.awsrequest.AWSRequest(sending.method, url, headers=headers, data=sending.body)
    request.context["timestamp"] = headers["x-amz-date"]
    text = signer.string_to_sign(request, signer.canonical_request(request))
    names = signer.signed_headers(signer.headers_to_sign(request))
    return (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={names}, "
        f"Signature={signer.signature(text, request)}"
    )


def _settled(url: str) -> str:
    """The address as HTTP libraries send it: what a path may hold as it is, is not escaped (`:` and not `%3A`). What is
    signed must be what is sent."""
    parts = urlsplit(url)
    path = "/".join(quote(unquote(step), safe="~!$&'()*+,;=:@") for step in parts.path.split("/"))
    return urlunsplit(parts._replace(path=path))


def _region_of(url: str) -> str | None:
    """The region in a host's name: `bedrock-runtime.eu-central-1.amazonaws.com`."""
    return next((label for label in (urlsplit(url).hostname or "").split(".") if _REGION.fullmatch(label)), None)


_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+)?-(?:central|north|south|(?:north|south)?(?:east|west))-\d{1,2}")


# --- finding keys -----------------------------------------------------------------------------------------------------

SIGNS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)
"""Variables that say that AWS is meant: an instance with a role shows no more than its region."""

LOOK_AGAIN = 600.0
"""Seconds for which a temporary key is kept: botocore, when asked, renews one that has less than ten minutes left."""


def credential(options: Mapping[str, str], env: Mapping[str, str]) -> Credential | None:
    """The keys that AWS's own tools would take here: of the profile that `aws_profile` names, else of the environment,
    the files in `~/.aws`, the container or the instance. None where nothing speaks of AWS. `aws_region` is for
    addresses that name no region. What botocore finds, it finds in the environment of the process."""
    profile = options.get("aws_profile") or None
    region = options.get("aws_region") or env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION")
    if not (profile or region or any(env.get(name) for name in SIGNS) or _has_files(env)):
        return None
    return Renewed(_Finding(profile, region, env).fetch, AwsKey(MASK, MASK, region=region))


def _has_files(env: Mapping[str, str]) -> bool:
    home = env.get("HOME") or env.get("USERPROFILE")
    own = [Path(home, ".aws", name) for name in ("credentials", "config")] if home else []
    said = [Path(env[name]) for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE") if env.get(name)]
    return any(path.is_file() for path in (*own, *said))


class _Finding:
    """One search for credentials, done at the first need; afterwards they renew themselves when they are asked."""

    def __init__(self, profile: str | None, region: str | None, env: Mapping[str, str]) -> None:
        self._profile = profile
        self._region = region
        self._env = env
        self._found: Any = None

    def fetch(self) -> Fresh:
        """The key as it is now. Blocks."""
        boto = _botocore()
        if self._profile is None and (key := self._of_environment()) is not None:
            return Fresh(key)
        try:
            if self._found is None:
                self._found = boto.session.Session(profile=self._profile).get_credentials()
            if self._found is None:
                raise AuthenticationError("no AWS credentials are found here", status=401, code="missing_api_key")
            frozen = self._found.get_frozen_credentials()
        except (boto.exceptions.BotoCoreError, boto.exceptions.ClientError) as error:
            raise _translated(boto, error) from None
        key = AwsKey(frozen.access_key, frozen.secret_key, frozen.token, self._region)
        renews = isinstance(self._found, boto.credentials.RefreshableCredentials)
        return Fresh(key, time.time() + LOOK_AGAIN) if renews else Fresh(key)  # noqa: TID251 as Renewed's clock

    def _of_environment(self) -> AwsKey | None:
        """The plain key of the environment that the program gave, which need not be the process's."""
        access_key, secret_key = self._env.get("AWS_ACCESS_KEY_ID"), self._env.get("AWS_SECRET_ACCESS_KEY")
        if not access_key or not secret_key:
            return None
        return AwsKey(access_key, secret_key, self._env.get("AWS_SESSION_TOKEN"), self._region)


def _translated(boto: Any, error: Exception) -> TrunklineError:
    names = ("ConnectionError", "HTTPClientError", "MetadataRetrievalError")
    if isinstance(error, tuple(getattr(boto.exceptions, name) for name in names)):
        return APIConnectionError(f"AWS's credential service cannot be reached: {type(error).__name__}")
    if isinstance(error, boto.exceptions.ProfileNotFound):
        return ConfigurationError(str(error))
    return AuthenticationError(f"AWS gives no credentials: {harmless(error)}", status=401)


@cache
def _botocore() -> Any:
    """The library: it has no types. Its import takes 0.3 s, which a credential's thread spends."""
    try:
        for module in ("auth", "awsrequest", "credentials", "exceptions", "session"):
            import_module(f"botocore.{module}")
        return import_module("botocore")
    except ImportError:
        raise ConfigurationError("AWS keys need the extra: pip install 'trunkline[bedrock]'") from None
