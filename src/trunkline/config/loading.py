"""Loading: the file, then the environment, then arguments; the later word wins.

Owns where the words come from and which of them counts. Everything wrong is reported at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

from msgspec.structs import replace

from trunkline.providers.provider import Provider
from trunkline.vocabulary.errors import ConfigurationError

from .file import BAD, ENVIRONMENT, Mistake, Reading
from .sense import make_sense
from .shapes import OTHER_VARIABLES, VARIABLES, Config, GatewayConfig

FILE = "trunkline.yaml"
"""Read from the working directory unless TRUNKLINE_CONFIG or an argument names another."""


def load(
    path: str | Path | None = None, env: Mapping[str, str] | None = None, providers: Sequence[Provider] = ()
) -> Config:
    """The configuration: the file (an argument, else TRUNKLINE_CONFIG, else ./trunkline.yaml if it is there), then the
    environment. `providers` are rows that it may name beside the catalog's. Raises ConfigurationError that lists every
    mistake."""
    config, mistakes = examine(path, os.environ if env is None else env, providers)
    if mistakes:
        raise ConfigurationError("\n".join(str(mistake) for mistake in mistakes))
    return config


def examine(
    path: str | Path | None, env: Mapping[str, str], providers: Sequence[Provider] = ()
) -> tuple[Config, list[Mistake]]:
    """The configuration and every mistake in it: what `trunkline check` prints."""
    found = file_in_use(path, env)
    if found is None:
        return _understood("", ENVIRONMENT, env, providers, overruled=True)
    try:
        text = found.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return Config(), [Mistake(str(found), 0, "", "is not UTF-8 text")]
    except OSError as error:
        return Config(), [Mistake(str(found), 0, "", f"cannot be read: {error.strerror}")]
    return _understood(text, str(found), env, providers, overruled=True)


def file_in_use(path: str | Path | None, env: Mapping[str, str]) -> Path | None:
    """The file that counts; None where there is none."""
    named = path or env.get("TRUNKLINE_CONFIG")
    if named:
        return Path(named)
    return Path(FILE) if Path(FILE).is_file() else None


def parse(
    text: str, file: str, env: Mapping[str, str], providers: Sequence[Provider] = ()
) -> tuple[Config, list[Mistake]]:
    """Read a file's text, without what the environment overrules. Where there are mistakes, the configuration is what
    could be understood."""
    return _understood(text, file, env, providers, overruled=False)


def _understood(
    text: str, file: str, env: Mapping[str, str], providers: Sequence[Provider], *, overruled: bool
) -> tuple[Config, list[Mistake]]:
    reading = Reading(file, env)
    config = reading.read(text, Config)
    if config is None:
        return Config(), reading.mistakes
    if overruled:
        config = _overruled(config, env, reading)
    make_sense(config, env, reading, providers)
    return config, reading.mistakes


def _overruled(config: Config, env: Mapping[str, str], reading: Reading) -> Config:
    """The configuration with what the environment says instead."""
    said: dict[type, dict[str, Any]] = {Config: {}, GatewayConfig: {}}
    for variable, text in env.items():
        path = VARIABLES.get(variable)
        if path is None or not text or text.startswith("tcp://"):  # Kubernetes links to a service called trunkline
            _look_at_name(variable, reading)
            continue
        section = GatewayConfig if path.startswith("gateway.") else Config
        name = path.rpartition(".")[2]
        value = reading.variable(variable, text, get_type_hints(section, include_extras=True)[name], path)
        said[section].update({} if value is BAD else {name: value})
    return replace(config, gateway=replace(config.gateway, **said[GatewayConfig]), **said[Config])


def _look_at_name(variable: str, reading: Reading) -> None:
    """A variable that is one of ours but for a letter or two would be overlooked in silence."""
    known = (*VARIABLES, *OTHER_VARIABLES)
    if variable.startswith("TRUNKLINE_") and variable not in known:
        words = {name.removeprefix("TRUNKLINE_"): name for name in known}
        if close := get_close_matches(variable.removeprefix("TRUNKLINE_"), words, n=1, cutoff=0.75):
            reading.wrong_variable(variable, f"unknown variable, did you mean {words[close[0]]}?")
