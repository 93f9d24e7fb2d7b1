"""Gateway: what a request and a streamed event cost in the process between a program and a provider."""

import json
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from report import Table
from rig import BENCH, ENVIRONMENTS, MEASURED, PYTHON, Running, free_port, python_of

MESSAGES = [
    {"role": "system", "content": "You are a careful assistant. Answer briefly, and cite the passage you used. " * 2},
    {
        "role": "user",
        "content": "Summarise this in one sentence: " + "The quick brown fox jumps over the lazy dog. " * 5,
    },
]
CHAT = {"model": "bench", "messages": MESSAGES, "temperature": 0.2, "max_tokens": 256}
STREAMED = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
ANTHROPIC = {"model": "bench", "system": MESSAGES[0]["content"], "messages": MESSAGES[1:], "max_tokens": 256}

EVENTS = 204
"""Events of a stream: 200 words, and what frames them."""

PHASES = {
    "chat": ("/v1/chat/completions", CHAT, 32, 1),
    "chat, across": ("/v1/messages", ANTHROPIC, 32, 1),
    "event, burst": ("/v1/chat/completions", STREAMED, 8, EVENTS),
    "event, paced": ("/v1/chat/completions", {**STREAMED, "model": "paced"}, 16, EVENTS),
    "burst, across": ("/v1/messages", {**ANTHROPIC, "stream": True}, 8, EVENTS),
    "paced, across": ("/v1/messages", {**ANTHROPIC, "model": "paced", "stream": True}, 16, EVENTS),
}
"""Column: path, body, callers, and what the CPU is divided by."""


class Gateway:
    """How a contestant is started: with a mock that answers below two addresses, one of them slowly."""

    across = True
    env: dict[str, str] = {}

    def __init__(self, upstream: str, scratch: Path) -> None:
        self.upstream = upstream
        self.scratch = scratch

    def command(self, port: int) -> list[str]:
        raise NotImplementedError

    def path(self, path: str, model: str) -> str:
        return path

    def run(self, stack: ExitStack) -> tuple[Running, int, float]:
        """The process, its port, and the seconds from its start to its first answer."""
        port = free_port()
        began = time.perf_counter()
        log = self.scratch / f"{type(self).__name__}.log"
        running = stack.enter_context(Running(self.command(port), MEASURED, env=self.env, log=log))
        while not self._answers(port):
            if running.process.poll() is not None or time.perf_counter() - began > 120:
                raise RuntimeError(f"{type(self).__name__} did not start: {log.read_text()[-3000:]}")
            time.sleep(0.01)
        return running, port, time.perf_counter() - began

    def _answers(self, port: int) -> bool:
        headers = {"content-type": "application/json", "authorization": "Bearer sk-bench"}
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        request = urllib.request.Request(url, json.dumps(CHAT).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status == 200
        except OSError:
            return False


class Trunkline(Gateway):
    """Ourselves, one worker, with the ledger."""

    def config(self) -> dict:
        return {"targets": {name: {**OURS, "base_url": base} for name, base in self.addresses().items()}}

    def addresses(self) -> dict[str, str]:
        return {"bench": f"{self.upstream}/v1", "paced": f"{self.upstream}/paced/v1"}

    def command(self, port: int) -> list[str]:
        config = self.scratch / f"{type(self).__name__}.yaml"
        ledger = str(self.scratch / f"{type(self).__name__}.ledger")
        config.write_text(json.dumps({**self.config(), "ledger": ledger}))
        program = str(ENVIRONMENTS / "gateway" / "bin" / "trunkline")
        return [program, "serve", "--port", str(port), "--config", str(config)]


class Policies(Trunkline):
    """Ourselves with everything that can be said of a call: `policies.json`."""

    def config(self) -> dict:
        said = json.loads((BENCH / "policies.json").read_text())
        route, targets = said["routes"]["bench"], said["targets"]
        pools = ("targets", "fallbacks")
        made = {
            name: {**route, **{pool: [f"{name} {each}" for each in route[pool]] for pool in pools}}
            for name in self.addresses()
        }
        named = {
            f"{name} {each}": {**target, **OURS, "base_url": base}
            for name, base in self.addresses().items()
            for each, target in targets.items()
        }
        return {**said, "targets": named, "routes": made}


class PassThrough(Gateway):
    """The floor: uvicorn and aiohttp, and nothing in between."""

    across = False

    def command(self, port: int) -> list[str]:
        return [python_of("gateway"), str(BENCH / "passthrough.py"), str(port), self.upstream]

    def path(self, path: str, model: str) -> str:
        return f"/paced{path}" if model == "paced" else path


OURS = {"model": "openai/gpt-4o-mini", "api_key": "sk-upstream"}


class LiteLLM(Gateway):
    """The LiteLLM proxy: one worker, no database, its own settings for production, uvloop and httptools."""

    env = {
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOCAL_BLOG_POSTS": "True",
        "LITELLM_TELEMETRY": "False",
        "NO_DOCS": "True",
        "DISABLE_ADMIN_UI": "True",
    }

    def command(self, port: int) -> list[str]:
        config = self.scratch / "litellm.yaml"
        models = [
            {
                "model_name": name,
                "litellm_params": {"model": "openai/gpt-4o-mini", "api_key": "sk-upstream", "api_base": base},
            }
            for name, base in (("bench", f"{self.upstream}/v1"), ("paced", f"{self.upstream}/paced/v1"))
        ]
        settings = {"request_timeout": 600, "set_verbose": False, "json_logs": True, "num_retries": 0, "callbacks": []}
        settings["use_chat_completions_url_for_anthropic_messages"] = (
            True  # else it would ask the mock for /v1/responses
        )
        general = {"master_key": "sk-bench"}
        config.write_text(json.dumps({"model_list": models, "litellm_settings": settings, "general_settings": general}))
        program = str(ENVIRONMENTS / "litellm-proxy" / "bin" / "litellm")
        return [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]


CONTESTANTS = {
    "uvicorn + aiohttp, passing bytes": PassThrough,
    "**trunkline**": Trunkline,
    "**trunkline**, all policies": Policies,
    "LiteLLM proxy": LiteLLM,
}
SLOW_STARTS = 2
"""How often the LiteLLM proxy is started beside the start for the requests: it takes seconds."""


def measured(
    upstream: str, scratch: Path, *, starts: int, repetitions: int, seconds: float, soak: tuple[int, float]
) -> tuple[Table, Table]:
    """How the gateways start, and what they cost. `soak`: so many requests at the end, for so many seconds at most."""
    started = Table(
        "Start of the gateway",
        ["first 200 s", "idle RSS MB"],
        "From exec to the first chat answer through the mock; RSS a second after it.",
    )
    gateways = {name: kind(upstream, scratch) for name, kind in CONTESTANTS.items()}
    for name, gateway in gateways.items():
        for _ in range(min(starts, SLOW_STARTS) if isinstance(gateway, LiteLLM) else starts):
            with ExitStack() as stack:
                _start(started, name, gateway, stack)
    asked = Table(
        "Gateway",
        [*PHASES, "chat/s", "RSS MB, before → after"],
        "CPU µs of the gateway for a request (`chat`) or an event of a stream: `burst` events arrive together, `paced` "
        "ones alone, 5 ms apart on 16 streams. `across`: asked in Anthropic's dialect, the provider speaks OpenAI's. "
        "Every answer is checked for its words and its end.",
    )
    with ExitStack() as stack:
        up = {}
        for name, gateway in gateways.items():
            running, port = _start(started, name, gateway, stack)
            load = [PYTHON, str(BENCH / "load.py"), str(port)]
            up[name] = (running, stack.enter_context(Running(load, log=scratch / "load.log")))
        for _ in range(repetitions):  # all stay up and take turns, so that a noisy minute falls on all
            for phase in PHASES:
                for name, (running, load) in up.items():
                    _measure(asked, name, phase, gateways[name], running, load, seconds)
        for name, (running, load) in up.items():
            _soak(asked, name, running, load, *soak)
    return started, asked


def _start(table: Table, name: str, gateway: Gateway, stack: ExitStack) -> tuple[Running, int]:
    running, port, seconds = gateway.run(stack)
    time.sleep(1)
    table.add(name, "first 200 s", seconds)
    table.add(name, "idle RSS MB", running.memory())
    return running, port


def _measure(table: Table, name: str, phase: str, gateway: Gateway, running: Running, load: Running, seconds: float):
    path, body, callers, divisor = PHASES[phase]
    if path == "/v1/messages" and not gateway.across:
        return
    command = {"path": gateway.path(path, body["model"]), "body": body, "callers": callers}
    if body["model"] == "paced":  # a round of streams takes a second
        command["requests"] = callers * max(1, round(seconds))
        warm = {**command, "requests": 1, "callers": 1}
    else:
        command["seconds"] = seconds
        warm = {**command, "seconds": max(0.2, seconds / 5)}
    try:
        _say(load, warm)
        before = running.cpu()
        done = _say(load, command)
    except RuntimeError as error:
        table.add(name, phase, "fails")
        table.note += f" {name} fails at `{phase}`: {str(error)[:200]}"
        return
    table.add(name, phase, (running.cpu() - before) / done["answers"] / divisor * 1e6)
    if phase == "chat":
        table.add(name, "chat/s", done["answers"] / done["seconds"])


def _soak(table: Table, name: str, running: Running, load: Running, requests: int, seconds: float) -> None:
    path, body, callers, _ = PHASES["chat"]
    before = running.memory()
    done = _say(load, {"path": path, "body": body, "callers": callers, "requests": requests, "seconds": seconds})
    table.add(name, table.columns[-1], f"{before:.0f} → {running.memory():.0f} ({done['answers']:,} requests)")


def _say(load: Running, command: dict) -> dict:
    done = json.loads(load.ask(json.dumps(command)))
    if "error" in done:
        raise RuntimeError(done["error"])
    return done
