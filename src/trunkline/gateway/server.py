"""Server: the listening socket and its workers.

Owns the address and the processes. `uvicorn` does the HTTP; each worker makes an application of its own from the
environment.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import socket
from collections.abc import Callable

import uvicorn
from uvicorn.supervisors import Multiprocess

from trunkline.config import LOOPBACK, GatewayConfig
from trunkline.vocabulary.errors import ConfigurationError

from .app import App, from_environment

BACKLOG = 2048
GRACE_SECONDS = 10
"""How long answers that are under way may take after the server was told to stop."""


def serve(gateway: GatewayConfig, announce: Callable[[App, str], None]) -> None:
    """Listen and answer until told to stop. `announce` is called once, when the address is ours."""
    if gateway.host not in LOOPBACK:
        raise ConfigurationError(
            f"the gateway has no keys yet, so it listens on {', '.join(LOOPBACK)} only, not on {gateway.host}"
        )
    listener = _listen(gateway)
    app = worker()
    host = f"[{gateway.host}]" if ":" in gateway.host else gateway.host
    announce(app, f"http://{host}:{listener.getsockname()[1]}")
    factory = gateway.workers > 1
    config = uvicorn.Config(
        "trunkline.gateway.server:worker" if factory else app,
        factory=factory,
        workers=gateway.workers,
        loop="auto",
        http="auto",
        lifespan="on",
        access_log=False,
        ws="none",
        log_level="warning",
        server_header=False,
        proxy_headers=False,  # on loopback nobody stands between, and the middleware costs a layer
        timeout_graceful_shutdown=GRACE_SECONDS,
        backlog=BACKLOG,
    )
    if factory:
        Multiprocess(config, sockets=[listener]).run()
    else:
        with contextlib.suppress(KeyboardInterrupt):  # raised again when all is shut down
            uvicorn.Server(config).run(sockets=[listener])


def worker() -> App:
    """The application of a process that does nothing else.

    What is alive now stays alive, and a request leaves no cycles behind: to look for garbage as often as Python does by
    itself costs 10 µs a request. Only a process of our own may be told so.
    """
    app = from_environment()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 50)
    return app


def _listen(gateway: GatewayConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in gateway.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((gateway.host, gateway.port))
    except OSError as error:
        listener.close()
        taken = "is in use: stop what listens there, or pass --port"
        reason = taken if error.errno == errno.EADDRINUSE else f"is not to be had: {error.strerror}"
        raise ConfigurationError(f"port {gateway.port} {reason}") from None
    listener.listen(BACKLOG)  # from here on callers wait instead of being refused, whatever is still to be started
    listener.set_inheritable(True)
    return listener
