"""The pages of documentation: their examples run, their tables are what the code says, their links lead somewhere.

A page's `python` blocks run in order in one namespace and an empty folder, its commands that begin with `$ curl`
ask a real gateway. Behind both stands a loopback upstream in the place of OpenAI and others. What a block prints is
what its `# -> …` comments say, what a command answers is what stands below it (`…` stands for anything). A block that
begins with `# trunkline.yaml` is the configuration from there on. One after `<!-- not run: reason -->` is only read.
`UPDATE_DOCS=1 pytest tests/test_docs.py` writes the generated tables anew.
"""

import asyncio
import contextlib
import gc
import http.client
import io
import os
import re
import shlex
import sys
import threading
import types
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlsplit

import msgspec
import pytest
import uvicorn
from msgspec import Struct

import trunkline
from samples import chat, chunks, generated, message, message_events, response, vectors
from test_exports import PUBLIC
from trunkline import AllTargetsFailed, ServiceError, TrunklineError, config
from trunkline.gateway.app import from_environment
from trunkline.gateway.routes import ROUTES
from trunkline.policies.fallback import may_move
from trunkline.policies.retry import delay_before_retry
from trunkline.providers.catalog import CATALOG
from trunkline.testing import FakeUpstream, Served, Told, reply, stream
from trunkline.vocabulary.facts import Quirks
from trunkline.wire.grammar.classify import BY_CODE, BY_STATUS, status_of
from trunkline.wire.grammar.matrix import PARTS, REASONING, ROWS, TOOLS
from trunkline.wire.grammar.schemas import Takes
from trunkline.wire.registry import CHAT

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "interfaces").glob("*.md")])]
ADDRESS = re.compile(r"http://(?:127\.0\.0\.1|localhost):4000")


class Block(Struct):
    """A fenced block of a page."""

    language: str
    text: str
    line: int
    """The page's line on which the text begins, from 1."""
    not_run: str | None = None
    """The reason why it is not run."""


_FENCE = re.compile(
    r"^(?:<!-- not run:(?P<reason>[^\n]*)-->\n+)?(?P<fence>```+)(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(
            match["language"].strip(),
            match["text"],
            text.count("\n", 0, match.start("text")) + 1,
            match["reason"].strip() if match["reason"] is not None else None,
        )
        for match in _FENCE.finditer(text)
    ]


def runs(page: Path) -> bool:
    return any(block.language == "python" or block.text.startswith("$ curl") for block in blocks(page))


# --- an upstream that answers sensibly --------------------------------------------------------------------------------


RANKED = [{"index": 1, "relevance_score": 0.9}]
FIXED = {
    "/rerank": {"object": "list", "data": RANKED, "model": "rerank-2", "usage": {"total_tokens": 26}},
    "/moderations": {"id": "modr_1", "model": "omni-moderation-latest", "results": [{"flagged": False}]},
    "/count_tokens": {"input_tokens": 14},
    "/input_tokens": {"input_tokens": 14},
    ":generateContent": generated(),
    "/responses": response(),
}
"""What is answered at the end of a path, whatever is asked."""


def answer(asked: Served) -> Told:
    """What the providers would answer, as far as an example needs it."""
    body = asked.json
    for end, fixed in FIXED.items():
        if asked.path.endswith(end):
            return reply(200, fixed, x_request_id="req_1")
    if asked.path.endswith("/embeddings"):
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        return reply(200, vectors(*([float(len(text)), 1.0] for text in texts)), x_request_id="req_1")
    text, call = _meant(body)
    anthropic = asked.path.endswith("/messages")
    if body.get("stream"):
        return _events(text, call) if anthropic else stream(*_chunks(text, call))
    if not anthropic:
        calls = [{"id": "call_1", "type": "function", "function": {**call, "arguments": _json(call["arguments"])}}]
        content = chat(text, **({"tool_calls": calls} if call["name"] else {}))
    elif call["name"]:
        use = {"type": "tool_use", "id": "toolu_1", "name": call["name"], "input": call["arguments"]}
        content = message(content=[use], stop_reason="tool_use")
    else:
        content = message(text)
    return reply(200, content, x_request_id="req_1")


def _meant(body):
    """The words of the answer, or the tool that it calls: offered tools are called until one has answered."""
    nothing = {"name": "", "arguments": {}}
    tools = [tool.get("function", tool) for tool in body.get("tools", ())]
    last = body["messages"][-1]
    results = last["content"] if last["role"] == "tool" else _results(last["content"])
    choice = body.get("tool_choice", "auto")
    if tools and choice not in ("none", {"type": "none"}) and not results:
        named = choice.get("name") or choice.get("function", {}).get("name") if isinstance(choice, dict) else None
        tool = next((tool for tool in tools if tool["name"] == named), tools[0])
        schema = tool.get("parameters") or tool.get("input_schema")
        return None, {"name": tool["name"], "arguments": _instance(schema, schema)}
    form = body.get("response_format", {}).get("json_schema") or body.get("output_config", {}).get("format")
    if form:
        return _json(_instance(form["schema"], form["schema"])), nothing
    return f"The tool says: {results}" if results else "Paris.", nothing


def _results(content):
    if isinstance(content, str):
        return ""
    return "".join(str(part.get("content", "")) for part in content if part["type"] == "tool_result")


def _instance(schema, whole):
    """A value that fits a schema: Paris, with two million people."""
    if "$ref" in schema:
        return _instance(whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)
    if "anyOf" in schema:
        return _instance(schema["anyOf"][0], whole)
    kinds = {"string": "Paris", "integer": 2, "number": 2.1, "boolean": True, "null": None}
    match schema.get("type"):
        case "object":
            return {name: _instance(value, whole) for name, value in schema.get("properties", {}).items()}
        case "array":
            return [_instance(schema["items"], whole)]
        case kind:
            return schema["enum"][0] if "enum" in schema else kinds[kind]


def _json(value) -> str:
    return msgspec.json.encode(value).decode()


def _chunks(text, call):
    if not call["name"]:
        return chunks(*_pieces(text))
    first, *_, last, usage = chunks()
    function = {"name": call["name"], "arguments": _json(call["arguments"])}
    said = {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}
    middle = {**first, "choices": [{"index": 0, "delta": said, "finish_reason": None}]}
    return [first, middle, {**last, "choices": [{**last["choices"][0], "finish_reason": "tool_calls"}]}, usage]


def _events(text, call) -> Told:
    events = message_events(*_pieces(text or ""))
    if call["name"]:
        start, opened, _, delta, closed, end, stop = (event for _, event in message_events(""))
        opened["content_block"] = {"type": "tool_use", "id": "toolu_1", "name": call["name"], "input": {}}
        delta["delta"] = {"type": "input_json_delta", "partial_json": _json(call["arguments"])}
        end["delta"] = {"stop_reason": "tool_use", "stop_sequence": None}
        events = [(event["type"], event) for event in (start, opened, delta, closed, end, stop)]
    pieces = [f"event: {name}\ndata: {_json(event)}\n\n".encode() for name, event in events]
    return Told(headers={"content-type": "text/event-stream"}, pieces=pieces)


def _pieces(text: str) -> list[str]:
    return re.findall(r"\s*\S{1,4}", text)


# --- the world behind the examples ------------------------------------------------------------------------------------


class Beyond:
    """A loop in a thread, with an upstream and, when one is needed, a gateway."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.upstream = self.run(FakeUpstream(answer).__aenter__())

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    @contextlib.contextmanager
    def gateway(self):
        """A gateway as `trunkline serve` starts it, from the environment and ./trunkline.yaml; gives its address."""
        settings = uvicorn.Config(from_environment(), port=0, log_level="warning", timeout_graceful_shutdown=1)
        server = uvicorn.Server(settings)
        serving = asyncio.run_coroutine_threadsafe(server._serve(), self.loop)
        while not server.started:
            threading.Event().wait(0.005)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            serving.result(10)

    def close(self) -> None:
        self.run(self.upstream.__aexit__(None, None, None))
        self.run(self.loop.shutdown_asyncgens())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


@pytest.fixture(scope="module")
def beyond():
    beyond = Beyond()
    yield beyond
    beyond.close()


@pytest.fixture
def folder(beyond, tmp_path, monkeypatch):
    """An empty folder to work in, no real key in the environment, and a default client of the page's own."""
    for name in list(os.environ):
        if name.endswith("_API_KEY") or name.startswith("TRUNKLINE_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for provider in ("OPENAI", "ANTHROPIC", "VOYAGE"):
        monkeypatch.setenv(f"{provider}_API_KEY", "sk-placeholder")
        monkeypatch.setenv(f"{provider}_BASE_URL", beyond.upstream.url)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("trunkline.default._client", None)
    monkeypatch.setattr(CATALOG, "_rows", dict(CATALOG._rows))  # what a page registers is its own
    yield tmp_path
    if trunkline.default._client is not None:
        trunkline.default._client.close()


# --- the examples -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "page",  # those of the interfaces are run by their own tests
    [page for page in PAGES if page.is_file() and page.parent.name != "interfaces" and runs(page)],
    ids=lambda page: page.name,
)
def test_the_examples_of_a_page(page, beyond, folder):
    run_examples(page, beyond)


def run_examples(page, beyond):
    """As a reader would who types them in."""
    with contextlib.ExitStack() as stack:
        reading = _Reading(page, beyond, stack)
        for block in blocks(page):
            if block.not_run is None:
                reading.take(block)
        reading.leave()


class _Reading:
    """A reader who types a page's examples in, one after another."""

    def __init__(self, page: Path, beyond: Beyond, stack: contextlib.ExitStack) -> None:
        self.page = page
        self.beyond = beyond
        self.stack = stack
        self.module = types.ModuleType(f"docs_{page.stem}")
        self.module.__dict__["trunkline"] = trunkline
        self.url: str | None = None
        sys.modules[self.module.__name__] = self.module

    def take(self, block: Block) -> None:
        if block.text.startswith("# trunkline.yaml"):
            self.write(block)
        elif block.language == "python":
            self.run(block)
        elif block.language == "console":
            for command, shown in commands(block.text):
                if command.startswith("curl "):
                    self.ask(command, shown)

    def write(self, block: Block) -> None:
        """A configuration: free of mistakes, and in force from here on."""
        unset = {name: "placeholder" for name in re.findall(r"\$\{(\w+)\}", block.text) if name not in os.environ}
        self.stack.enter_context(patch.dict(os.environ, unset))
        _, mistakes = config.parse(block.text, f"{self.page.name}:{block.line}", os.environ)
        assert not mistakes, "\n".join(str(mistake) for mistake in mistakes)
        Path("trunkline.yaml").write_text(block.text)

    def run(self, block: Block) -> None:
        source = "\n" * (block.line - 1) + self.addressed(block.text)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(source, str(self.page), "exec"), self.module.__dict__)
        if shown := re.findall(r"# -> (.*)", block.text):
            said = printed.getvalue()
            assert like("\n".join(shown), said), f"{self.page.name}:{block.line} printed\n{said}"

    def ask(self, command: str, shown: str) -> None:
        where = f"{self.page.name}: {command}"
        said = curl(self.addressed(command))
        body = said.partition("\n\n")[2] if said.startswith("HTTP/1.1 ") else said
        if not body.startswith(("data: ", "event: ")):
            msgspec.json.decode(body)
        assert not shown or like(shown, said), f"{where} answered\n{said}"

    def addressed(self, text: str) -> str:
        if not ADDRESS.search(text):
            return text
        if self.url is None:
            self.url = self.stack.enter_context(self.beyond.gateway())
        return ADDRESS.sub(self.url, text)

    def leave(self) -> None:
        """Collect what the page made, so that a warning belongs to it and not to the next."""
        self.module.__dict__.clear()
        sys.modules.pop(f"docs_{self.page.stem}")
        gc.collect()


def curl(command: str) -> str:
    """What a `curl` command prints, for the options that the pages use: a bare machine has no curl."""
    words = iter(shlex.split(command.replace("\\\n", " "))[1:])
    method, url, headers, body, head = "GET", "", {}, None, False
    for word in words:
        match word:
            case "-H":
                name, _, value = next(words).partition(":")
                headers[name.strip()] = value.strip()
            case "-d":
                method, body = "POST", next(words).encode()
            case "-i":
                head = True
            case _:
                assert not word.startswith("-"), f"{word} in {command}"
                url = word
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=10)
    connection.request(method, address.path + ("?" if address.query else "") + address.query, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    if not head:
        return text
    lines = [f"HTTP/1.1 {answer.status} {answer.reason}", *(f"{name}: {value}" for name, value in answer.getheaders())]
    return "\n".join([*lines, "", text])


def commands(text: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with what is shown below it."""
    found: list[tuple[str, str]] = []
    for typed in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        match = re.match(r"(?:.*\\\n)*.*(?:'[^']*'.*)*", typed)
        assert match is not None
        found.append((match.group(), typed[match.end() :].strip()))
    return found


def like(shown: str, said: str) -> bool:
    """Whether a text is as it was shown; `…` stands for anything, spaces at the ends of lines for nothing."""
    pattern = ".*?".join(re.escape(piece.strip(" ")) for piece in "\n".join(_lines(shown)).split("…"))
    return re.fullmatch(pattern, "\n".join(_lines(said)), re.DOTALL) is not None


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


def test_what_is_not_run_says_why():
    for page in PAGES:
        for block in blocks(page) if page.is_file() else ():
            assert block.not_run is None or len(block.not_run) > 10, f"{page.name}:{block.line}"


# --- tables that the code writes --------------------------------------------------------------------------------------


def table(head: str, rows) -> str:
    """A table in markdown."""
    lines = [head, "|".join(["", *("---" for _ in head.strip("|").split("|")), ""])]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def code(words) -> str:
    return ", ".join(f"`{word}`" for word in words)


DIFFERENCES = {
    "drop": lambda keys: f"refuses {code(sorted(keys))}",
    "omit": lambda keys: f"has {code(sorted(keys))} in its address",
    "accepts": lambda keys: f"also takes {code(sorted(keys))}",
    "rename": lambda names: ", ".join(f"`{ours}` is `{theirs}`" for ours, theirs in names.items()),
    "defaults": lambda keys: f"where nothing is said: {code(f'{key} {value}' for key, value in keys.items())}",
    "system": lambda text: f"where no system prompt is given: “{text}”",
    "usage_on_request": lambda _: "streams count tokens unasked",
    "developer_role": lambda _: "knows the role `developer`",
    "max_completion_tokens": lambda _: "wants `max_completion_tokens`",
    "schemas": lambda _: "holds no model to a JSON schema",
    "tools_by_schema": lambda _: "tools are emulated by a JSON schema",
    "reasoning_key": lambda key: f"takes reasoning back as `{key}`",
    "defaults_with_tools": lambda keys: f"with tools: {code(f'{key} {value}' for key, value in keys.items())}",
    "keep_alive": lambda _: "a connection for each call",
}
"""How a row's differences are told."""


def providers() -> str:
    rows = []
    for row in CATALOG:
        name = f"[{row.name}]({row.docs})" if row.docs else row.name
        key = code(filter(None, (row.key_env, *row.key_env_also))) + " (may be missing)" * row.key_optional
        if row.credential is not None:
            key = f"{key} or the cloud's own" if key else "the cloud's own"
        spoken = ", ".join(dialect.name.replace("_", " ") for dialect in row.speaks)
        different = [
            DIFFERENCES[field](value)
            for field in Quirks.__struct_fields__
            if (value := getattr(row.quirks, field)) != getattr(Quirks(), field)
        ]
        address = f"`{row.base_url}`" if row.base_url else "yours"
        rows.append((name, address, key or "none", spoken, "; ".join(different)))
    return table("| provider | address | key | speaks | what differs |", rows)


OPERATIONS = {
    "chat": "talks",
    "embeddings": "makes vectors",
    "rerank": "puts in order",
    "moderations": "judges",
    "tokens": "counts tokens",
}


def dialects() -> str:
    """Every dialect that a row speaks or the gateway answers in, chat first, with what the top of its module says."""
    spoken = {one.name: one for row in CATALOG for one in row.speaks}
    spoken |= {found.route.dialect.name: found.route.dialect for found in ROUTES.values()}
    rows = []
    for one in sorted(spoken.values(), key=lambda one: [*OPERATIONS].index(one.operation)):
        package = "/" if hasattr(one, "__path__") else ".py"
        told = one.__doc__.partition("\n\n")[0].partition(" Source:")[0].replace("\n", " ").rstrip(".")
        source = PAGE.search(one.__doc__)
        page = f"[page](https://{source[0].rstrip('.')})" if source else ""
        rows.append((f"`{one.name}{package}`", OPERATIONS[one.operation], told, f"`{one.path}`", page))
    return table("| in `wire/` | it | how | below the address | source |", rows)


PAGE = re.compile(r"\b[a-z][\w.-]+\.(?:com|dev|io)/[\w./#-]+")
"""The page that a module cites."""


def tree(kind=TrunklineError):
    """The classes of errors, parents first."""
    for child in kind.__subclasses__():
        if child.__module__ == kind.__module__:
            yield child
            yield from tree(child)


def errors() -> str:
    rows = []
    for kind in tree():
        error = AllTargetsFailed([ServiceError("…")]) if kind is AllTargetsFailed else kind("…")
        means = (kind.__doc__ or "").partition("\n\n")[0].replace("\n    ", " ").rstrip(".")
        again = "yes" if delay_before_retry(error, 1) is not None else ""
        moves = "yes" if may_move(error) and kind is not AllTargetsFailed else ""
        status = "its last" if kind is AllTargetsFailed else str(status_of(error))
        rows.append((f"`{kind.__name__}`", means, again, moves, status))
    return table("| error | what it means | again | elsewhere | gateway |", rows)


def refusals() -> str:
    rows = []
    for kind in tree():
        statuses = [str(status) for status, found in BY_STATUS.items() if found is kind]
        codes = [word for word, found in BY_CODE.items() if found is kind]
        if statuses or codes:
            rows.append((f"`{kind.__name__}`", ", ".join(statuses), code(codes)))
    return table("| error | status | code or type in the body |", rows)


HOW = {"native": "●", "translated": "◐", "emulated": "○", "lost": "-"}
"""How a dialect says something, as the table shows it."""


def matrix() -> str:
    heads = " | ".join(dialect.name.replace("_", " ") for dialect in CHAT)
    told = {**PARTS, **TOOLS, **REASONING}
    rows = ((told.get(row, f"`{row}`"), *(HOW[dialect.says[row]] for dialect in CHAT)) for row in ROWS)
    return table(f"| what is said | {heads} |", rows)


def schemas() -> str:
    rows = []
    for dialect in CHAT:
        module = sys.modules.get(f"{dialect.__name__}.schema")
        for name, takes in vars(module).items() if module is not None else ():
            if isinstance(takes, Takes):
                keywords = f"only {code(sorted(takes.known))}" if takes.known is not None else "all"
                refused = [*sorted(takes.refused), *(f"{key} above {most}" for key, most in takes.highest.items())]
                rows.append(
                    (
                        f"[{dialect.name.replace('_', ' ')}]({takes.page}){' (`strict`)' * (name == 'STRICT')}",
                        keywords + (f" but {code(refused)}" if refused else ""),
                        "closed" + ", every key required" * takes.complete if takes.closed else "any",
                        "yes" if takes.recursive else "",
                    )
                )
    return table("| API | keywords | objects | referring to itself |", rows)


TABLES = {
    "providers": providers,
    "errors": errors,
    "errors.refusals": refusals,
    "dialects": dialects,
    "dialects.matrix": matrix,
    "library.schemas": schemas,
}
"""Every generated table: the page's name, and where a page has several, the table's."""


# --- tables, links, names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "table"), TABLES.items())
def test_a_table_is_what_the_code_says(name, table):
    page = ROOT / "docs" / f"{name.partition('.')[0]}.md"
    begin, end = f"<!-- table: {name} -->\n", "<!-- end of table -->"
    before, _, rest = page.read_text().partition(begin)
    shown, _, after = rest.partition(end)
    assert after, f"{page.name} has no table {name}"
    if os.environ.get("UPDATE_DOCS"):
        page.write_text(before + begin + table() + end + after)
    else:
        assert shown == table(), "the code says otherwise: UPDATE_DOCS=1 pytest tests/test_docs.py"


_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def test_links_lead_somewhere():
    broken = []
    for page in (page for page in PAGES if page.is_file()):
        for link in _LINK.findall(prose(page)):
            path, _, heading = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if "://" in link or (target.exists() and (not heading or heading in headings(target))):
                continue
            broken.append(f"{page.name}: {link}")
    assert not broken


def prose(page: Path) -> str:
    """A page without its blocks and its code."""
    return re.sub(r"`[^`\n]*`", "", _FENCE.sub("", page.read_text()))


def headings(page: Path) -> set[str]:
    """The names under which a page's headings can be linked, as GitHub makes them."""
    lines = re.findall(r"^#+ (.*)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).strip().replace(" ", "-") for line in lines}


def test_every_public_name_is_on_some_page():
    words = set(re.findall(r"\w+", "\n".join(page.read_text() for page in PAGES if page.is_file())))
    assert not [name for name in PUBLIC if name not in words]
