"""Both shows, for some seconds: what they find broken in a minute, they find broken here."""

import subprocess
import sys
from pathlib import Path

import pytest

SHOWS = {
    "overload": "--seconds 3.2 --window 1 --lease 0.6 --rate 50 --share 0.85",  # on a quiet machine it is 0.985
    "outage": "--seconds 1.2 --rate 100 --later 0.2",  # of 120 calls those that find the server gone are the p99
}


@pytest.mark.parametrize("show", SHOWS)
def test_a_short_show_keeps_every_promise(show):
    command = [sys.executable, str(Path(__file__).with_name(f"{show}.py")), *SHOWS[show].split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
