"""The configuration: file, environment, arguments; every mistake at once, with its place and its remedy."""

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from trunkline import AsyncClient, Config, ConfigurationError
from trunkline.config import VARIABLES, GatewayConfig, examine, load, parse, schema

FILE = "trunkline.yaml"
TARGET = (
    "model, base_url, api_key, headers, options, buckets, tags, adaptive, settings, retries, timeouts, backoff, "
    "connections, rpm, tpm, concurrency, budget"
)
"""The keys of a target."""


def read(text, **env):
    """The configuration of a text without mistakes."""
    config, mistakes = parse(text, FILE, env)
    assert mistakes == []
    return config


def mistakes(text, **env):
    """What is said about a text, each mistake as it is printed."""
    return [str(mistake) for mistake in parse(text, FILE, env)[1]]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- what a file says -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n", "---\n", "targets:\nproviders:\ngateway:\n", "{}"])
def test_a_file_that_says_nothing_is_the_configuration_without_a_file(text):
    assert read(text) == Config()


def test_every_section_is_read():
    config = read(
        """
        model: fast
        timeout: 20
        retries: 0
        on_unsupported: error
        targets:
          fast: {model: groq/llama-3.3-70b-versatile, base_url: "http://127.0.0.1:9/v1", headers: {x-team: red}}
        providers:
          acme: {like: openai-compatible, base_url: "https://llm.acme.example/v1", api_key: k}
        prices:
          acme/large: {input: 1, output: 2}
        mock:
          sorry: [{status: 429, retry_after: 2}, {text: fine, chunk_delay: 0.5}, {tool: f, arguments: {n: 1, s: "1"}}]
        gateway: {host: "::1", port: 0, workers: 2, max_body: 1024}
        """
    )
    assert config.targets["fast"].headers == {"x-team": "red"}
    assert (config.timeout, config.retries, config.on_unsupported) == (20.0, 0, "error")
    assert config.providers["acme"].like == "openai-compatible"
    assert [answer.status for answer in config.mock["sorry"]] == [429, 200, 200]
    assert config.mock["sorry"][2].arguments == {"n": 1, "s": "1"}
    assert config.gateway == GatewayConfig(host="::1", port=0, workers=2, max_body=1024)


def test_text_stays_as_it_is_written_even_where_yaml_sees_a_date_a_number_or_a_boolean():
    config = read(
        """
        targets:
          az:
            model: azure/1.10
            base_url: https://x.openai.azure.com
            options: {api_version: 2024-10-21}
            headers: {x-build: 010, x-flag: on}
        """
    )
    target = config.targets["az"]
    assert (target.model, target.options["api_version"]) == ("azure/1.10", "2024-10-21")
    assert target.headers == {"x-build": "010", "x-flag": "on"}


@pytest.mark.parametrize("said", ["0.15", "1e-7", "0.1", "3", '"0.30"', "0.00000000000000000001", '"${PRICE}"'])
def test_prices_are_exactly_what_is_written(said):
    config = read(f"prices: {{openai/gpt-4o: {{input: {said}}}}}", PRICE="0.15")
    written = "0.15" if "$" in said else said.strip('"')
    assert str(config.prices["openai/gpt-4o"].input) == str(Decimal(written))


def test_yaml_aliases_and_merged_keys_work():
    config = read(
        """
        targets:
          one: &usual {model: mock/a, headers: {x: "1"}}
          two: {<<: *usual, model: mock/b}
        """
    )
    assert (config.targets["two"].model, config.targets["two"].headers) == ("mock/b", {"x": "1"})


# --- variables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "env", "read_as"),
    [
        ("${ONE}", {"ONE": "mock/a"}, "mock/a"),
        ("mock/${ONE}", {"ONE": "a"}, "mock/a"),
        ("${ONE}/${TWO}", {"ONE": "mock", "TWO": "a"}, "mock/a"),
        ("${ONE:-mock/a}", {}, "mock/a"),
        ("${ONE:-mock/a}", {"ONE": ""}, "mock/a"),  # as the shell has it
        ("${ONE:-mock/a}", {"ONE": "mock/b"}, "mock/b"),
        ("mock/$${ONE}", {}, "mock/${ONE}"),
        ("mock/$5", {}, "mock/$5"),
    ],
)
def test_variables_are_filled_in(said, env, read_as):
    assert read(f"model: {said}", **env).model == read_as


def test_a_variable_may_stand_where_a_number_is_wanted():
    assert read("gateway: {port: '${PORT:-4001}'}\ntimeout: ${WAIT}", WAIT="2.5").gateway.port == 4001


def test_a_variable_that_is_not_set_is_named_with_its_line():
    assert mistakes("retries: 1\nmodel: ${NOPE}") == [
        f"{FILE}:2: model: the variable NOPE is not set; set it, or write ${{NOPE:-default}}"
    ]


@pytest.mark.parametrize("said", ["${", "${}", "${A-b}", "${1}", "${A"])
def test_a_variable_that_is_written_wrong_is_a_mistake_that_shows_how(said):
    (mistake,) = mistakes(f"model: '{said}'", A="mock/a")
    assert "write ${VAR} or ${VAR:-default}" in mistake


def test_what_a_variable_holds_is_never_quoted_in_a_complaint():
    env = {"KEY": "sk-very-secret"}
    text = """
    timeout: ${KEY}
    gateway: {port: "${KEY}"}
    targets:
      one: {model: mock/a, base_url: "${KEY}"}
      two: {model: mock/a, api_key: [sk-very-secret]}
      three: {model: mock/a, api_key: {value: sk-very-secret}}
    """
    told = mistakes(text, **env)
    assert len(told) == 5
    assert "sk-very-secret" not in "\n".join(told)
    assert told[0] == f"{FILE}:2: timeout: must be a number of seconds above 0, not '${{KEY}}'"


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        # keys nobody knows, at every level
        ("modle: x", ":1: modle: unknown key 'modle', did you mean 'model'?"),
        ("zzz: x", ":1: zzz: unknown key 'zzz'; there are model, embedding_model, targets, "),
        ("gateway:\n  prot: 1", ":2: gateway.prot: unknown key 'prot', did you mean 'port'?"),
        ("targets:\n  a: {model: mock/a, base-url: x}", ":2: targets.a.base-url: unknown key 'base-url', did you mean"),
        ("providers:\n  mock: {key: x}", "providers.mock.key: unknown key 'key', did you mean 'api_key'?"),
        ("prices:\n  a/b: {inputs: 1}", "prices.a/b.inputs: unknown key 'inputs', did you mean 'input'?"),
        ("mock:\n  a:\n  - {txt: hi}", ":3: mock.a[0].txt: unknown key 'txt', did you mean 'text'?"),
        # keys said twice, of which YAML would silently take the last
        ("model: mock/a\nretries: 1\nmodel: mock/b", ":3: model: is said twice, first in line 1"),
        ("targets:\n  a: {model: mock/a}\n  a: {model: mock/b}", ":3: targets.a: is said twice, first in line 2"),
        # names that mean nothing
        ("model: opnai/gpt-4o", ":1: model: unknown provider 'opnai' in 'opnai/gpt-4o', did you mean 'openai'?"),
        ("model: fsat\ntargets: {fast: {model: mock/a}}", ":1: model: unknown model 'fsat', did you mean 'fast'?"),
        ("model: openai", ":1: model: 'openai' names no model: write openai/<model>"),
        ("embedding_model: nonesuch", ":1: embedding_model: unknown model 'nonesuch': write provider/model"),
        ("embedding_model: anthropic/claude-opus-4-5", ":1: embedding_model: anthropic has no embeddings"),
        (
            "targets:\n  a: {model: opnai/gpt-4o}",
            ":2: targets.a.model: unknown provider 'opnai' in 'opnai/gpt-4o', did",
        ),
        ("targets:\n  a: {model: gpt-4o}", ":2: targets.a.model: 'gpt-4o' names no provider: write openai/gpt-4o"),
        ("targets:\n  a: {model: openai/}", ":2: targets.a.model: 'openai' names no model: write openai/<model>"),
        ("targets:\n  a: {model: local}", "targets.a.model: 'local' names no model: write local/smollm2-135m"),
        ("targets:\n  a: {base_url: 'http://h'}", ":2: targets.a: model is missing"),
        ("providers:\n  opnai: {}", ":2: providers.opnai: unknown provider 'opnai', did you mean 'openai'?"),
        ("providers:\n  acme: {}", "providers.acme: unknown provider 'acme', a new provider needs 'like: openai-compa"),
        ("providers:\n  acme: {like: opnai}", "providers.acme.like: unknown provider 'opnai', did you mean 'openai'?"),
        # addresses
        (
            "targets:\n  a: {model: openai/x, base_url: localhost:80}",
            "base_url: must be an http(s):// address, not 'lo",
        ),
        ("providers:\n  openai: {base_url: ftp://h}", "providers.openai.base_url: must be an http(s):// address"),
        ("targets:\n  a: {model: azure/x}", ":2: targets.a.base_url: azure has no address: set AZURE_API_BASE"),
        (
            "targets:\n  a: {model: mock/x, base_url: 'http://h'}",
            "mock is not reached by an address: leave base_url out",
        ),
        # options and headers
        (
            "targets:\n  a: {model: azure/x, base_url: 'http://h', options: {api_verison: x}}",
            "targets.a.options.api_verison: azure has no option 'api_verison', did you mean 'api_version'?",
        ),
        ("targets:\n  a: {model: mock/x, options: {deep: x}}", "mock has no option 'deep'; it takes none"),
        ("providers:\n  mock: {options: {deep: x}}", "providers.mock.options.deep: mock has no option 'deep'"),
        ("targets:\n  a: {model: mock/x, headers: {'x team': y}}", "targets.a.headers.x team: is no header"),
        ('targets:\n  a: {model: mock/x, headers: {x: "a\\nb: c"}}', "targets.a.headers.x: is no header"),
        # prices
        ("prices:\n  gpt-4o: {input: 1}", ":2: prices.gpt-4o: 'gpt-4o' names no provider: write openai/gpt-4o"),
        ("prices:\n  opnai/gpt-4o: {input: 1}", ":2: prices.opnai/gpt-4o: unknown provider 'opnai'"),
        ("prices:\n  openai/x: {output: 1}", ":2: prices.openai/x: input is missing"),
        ("prices:\n  openai/x: {input: -1}", "prices.openai/x.input: must be dollars from 0 up, not -1"),
        ("prices:\n  openai/x: {input: .nan}", "prices.openai/x.input: must be a number, not '.nan'"),
        ("prices:\n  openai/x: {input: NaN}", "prices.openai/x.input: must be dollars from 0 up, not NaN"),
        ("prices:\n  openai/x: {input: cheap}", "prices.openai/x.input: must be a number, not 'cheap'"),
        # wrong types and numbers out of range
        ("timeout: 0", ":1: timeout: must be a number of seconds above 0, not '0'"),
        ("timeout: .nan", "timeout: must be a number of seconds above 0"),
        ("timeout: soon", "timeout: must be a number of seconds above 0, not 'soon'"),
        ("retries: -1", "retries: must be a whole number from 0 up, not '-1'"),
        ("retries: 1.5", "retries: must be a whole number from 0 up, not '1.5'"),
        ("retries: true", "retries: must be a whole number from 0 up, not 'true'"),
        ("on_unsupported: off", "on_unsupported: must be error or warn or drop, not 'off'"),
        ("model: [a]", ":1: model: must be text, not a list"),
        ("model: {a: b}", ":1: model: must be text, not a mapping"),
        ("targets: [a]", ":1: targets: must be a mapping, not a list"),
        ("targets: a", ":1: targets: must be a mapping, not 'a'"),
        (
            "targets:\n  a: mock/a",
            f":2: targets.a: must be a mapping of {TARGET}, not",
        ),
        ("targets:\n  a:", f":2: targets.a: must be a mapping of {TARGET}, not empty"),
        ("targets:\n  a: {model: mock/a, headers: {x: }}", "targets.a.headers.x: must be text, not empty"),
        ("mock: {a: {text: hi}}", ":1: mock.a: must be a list, not a mapping"),
        ("mock: {a: []}", ":1: mock.a: has no answers"),
        ("routes: {r: {targets: []}}", "routes.r.targets: is empty: name a target"),
        (
            "routes: {r: {targets: [opnai/x]}}",
            "routes.r.targets[0]: unknown provider 'opnai' in 'opnai/x', did you mean",
        ),
        ("routes: {r: {targets: [mock/a], fallbacks: [s]}}", "routes.r.fallbacks[0]: unknown model 's'"),
        ("routes: {r: {targets: [mock/a], strategy: best}}", "strategy: must be ordered or simple-shuffle or"),
        ("routes: {r: {targets: [mock/a], weights: {mock/b: 1}}}", "routes.r.weights: 'mock/b' is none of its targets"),
        ("routes: {r: {targets: [mock/a], kinds: {simple: mock/a}}}", "by-complexity and 'kinds' belong together"),
        (
            "targets: {r: {model: mock/a}}\nroutes: {r: {targets: [mock/a]}}",
            "routes.r: 'r' is a target too: give one of them another name",
        ),
        ("targets: {t: {model: mock/a, buckets: [b]}}", "targets.t.buckets: unknown bucket 'b'"),
        ("payers: {a: {owner: o}}", "payers.a.owner: unknown owner 'o'"),
        ("payers: {a: {budget: {per: day}}}", "payers.a.budget: says neither usd nor tokens"),
        ("payers: {a: {budget: {usd: 0}}}", "payers.a.budget.usd: must be dollars above 0, not 0"),
        ("backoff: {jitter: 2}", "backoff.jitter: must be a share from 0 to 1, not '2'"),
        ("gateway: {port: 65536}", "gateway.port: must be a port from 0 to 65535, not '65536'"),
        ("gateway: {port: -1}", "gateway.port: must be a port from 0 to 65535"),
        ("gateway: {workers: 0}", "gateway.workers: must be a whole number from 1 up, not '0'"),
        ("gateway: {max_body: 0}", "gateway.max_body: must be a whole number from 1 up"),
        ("gateway: {host: 0.0.0.0}", "gateway.host: must be a loopback address (127.0.0.1, localhost, ::1)"),
        ("gateway: 4000", ":1: gateway: must be a mapping of host, port, workers, max_body, log_level, not '4000'"),
        # files that are no mapping, or no YAML
        ("- a\n- b", ":1: must be a mapping of model, embedding_model, targets"),
        ("just words", ":1: must be a mapping of model"),
        (
            "model: mock/a\n\tretries: 1",
            ":2: no valid YAML: found a tab character that violates indentation; indent with spaces",
        ),
        (
            "model: @a",
            ":1: no valid YAML: found character that cannot start any token; indent with spaces, not tabs, and",
        ),
        ("targets:\n  a: b: c", ":2: no valid YAML: mapping values are not allowed in this context; text with ': ' in"),
        ("targets: [a", "no valid YAML: did not find expected ',' or ']'; a bracket is not closed"),
        ("model: 'a", "no valid YAML: found unexpected end of stream; a quote is not closed"),
        ("model: a\n---\nmodel: b", ":2: no valid YAML: but found another document"),
        ("model: \x01", ":1: no valid YAML: control characters are not allowed"),
        ("? [a]\n: b", ":1: no valid YAML: a key must be a plain word"),
        ("targets: &all\n  a: *all", "no valid YAML: 'targets.a' contains itself"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_to_change(text, complaint):
    told = mistakes(text)
    assert any(mistake.startswith(FILE) and complaint in mistake for mistake in told), told


def test_one_mistake_hides_no_other_and_causes_none():
    told = mistakes(
        """
        model: fast
        timeuot: 3
        targets:
          fast: {model: opnai/gpt-4o, api_kye: x}
          slow: {base_url: nowhere}
        gateway: {port: 1.5, workers: 0}
        """
    )
    assert [line.partition(": ")[0].partition(":")[2] for line in told] == ["3", "5", "5", "6", "6", "7", "7"]


def test_a_model_that_is_a_broken_target_is_complained_about_once():
    assert len(mistakes("model: fast\ntargets: {fast: {model: opnai/x}}")) == 1


# --- the environment --------------------------------------------------------------------------------------------------


def test_the_environment_overrules_the_file_and_the_file_the_defaults(folder):
    (folder / FILE).write_text("model: mock/a\nretries: 5\ngateway: {port: 1, workers: 3}")
    config = load(env={"TRUNKLINE_MODEL": "mock/b", "TRUNKLINE_PORT": "2", "TRUNKLINE_TIMEOUT": ""})
    assert (config.model, config.retries, config.timeout) == ("mock/b", 5, 600.0)
    assert (config.gateway.port, config.gateway.workers, config.gateway.host) == (2, 3, "127.0.0.1")


def test_an_argument_overrules_the_environment(folder):
    client = AsyncClient(model="mock/echo", env={"TRUNKLINE_MODEL": "mock/b"})
    assert client.render("hi").body["model"] == "echo"
    assert client.render("hi", model="mock/c").body["model"] == "c"


@pytest.mark.parametrize(
    ("variable", "said", "complaint"),
    [
        ("TRUNKLINE_PORT", "http", "must be a port from 0 to 65535, not 'http'"),
        ("TRUNKLINE_PORT", "70000", "must be a port from 0 to 65535, not '70000'"),
        ("TRUNKLINE_WORKERS", "0", "must be a whole number from 1 up, not '0'"),
        ("TRUNKLINE_MAX_BODY", "1MB", "must be a whole number from 1 up, not '1MB'"),
        ("TRUNKLINE_TIMEOUT", "-3", "must be a number of seconds above 0, not '-3'"),
        ("TRUNKLINE_RETRIES", "two", "must be a whole number from 0 up, not 'two'"),
        ("TRUNKLINE_ON_UNSUPPORTED", "ignore", "must be error or warn or drop, not 'ignore'"),
        ("TRUNKLINE_HOST", "0.0.0.0", "must be a loopback address"),
        ("TRUNKLINE_MODEL", "opnai/gpt-4o", "unknown provider 'opnai' in 'opnai/gpt-4o', did you mean 'openai'?"),
        ("TRUNKLINE_EMBEDDING_MODEL", "xai/grok-4", "xai has no embeddings"),
        ("TRUNKLINE_MODLE", "mock/a", "unknown variable, did you mean TRUNKLINE_MODEL?"),
        ("TRUNKLINE_TIMEOUTS", "3", "unknown variable, did you mean TRUNKLINE_TIMEOUT?"),
    ],
)
@pytest.mark.parametrize("text", [None, "retries: 1\ngateway: {workers: 2}\n"])
def test_a_wrong_variable_is_told_by_its_name(folder, text, variable, said, complaint):
    if text is not None:
        (folder / FILE).write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load(env={variable: said})
    assert str(caught.value).startswith(f"environment: {variable}: {complaint}")


def test_kubernetes_links_to_a_service_called_trunkline_say_nothing(folder):
    links = {
        "TRUNKLINE_PORT": "tcp://10.0.0.1:4000",
        "TRUNKLINE_SERVICE_HOST": "10.0.0.1",
        "TRUNKLINE_SERVICE_PORT": "4000",
        "TRUNKLINE_PORT_4000_TCP": "tcp://10.0.0.1:4000",
        "TRUNKLINE_PORT_4000_TCP_ADDR": "10.0.0.1",
    }
    assert load(env=links) == Config()


def test_each_variable_overrules_a_key_that_there_is():
    for path in VARIABLES.values():
        section, _, name = path.rpartition(".")
        assert name in (GatewayConfig if section else Config).__struct_fields__


# --- which file -------------------------------------------------------------------------------------------------------


def test_without_a_file_the_defaults_hold(folder):
    assert load(env={}) == Config()


def test_an_argument_beats_trunkline_config_beats_the_working_directory(folder):
    for name in (FILE, "second.yaml", "third.yaml"):
        (folder / name).write_text(f"model: mock/{name[0]}")
    assert load(env={}).model == "mock/t"
    assert load(env={"TRUNKLINE_CONFIG": "second.yaml"}).model == "mock/s"
    assert load("third.yaml", env={"TRUNKLINE_CONFIG": "second.yaml"}).model == "mock/t"


def test_a_file_that_is_named_and_cannot_be_read_is_a_mistake(folder):
    with pytest.raises(ConfigurationError, match=r"^nope.yaml: cannot be read: No such file"):
        load(env={"TRUNKLINE_CONFIG": "nope.yaml"})
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        load(folder, env={})
    (folder / FILE).write_bytes(b"model: \xff\xfe")
    with pytest.raises(ConfigurationError, match="is not UTF-8 text"):
        load(env={})


def test_a_byte_order_mark_is_no_mistake(folder):
    (folder / FILE).write_bytes(b"\xef\xbb\xbfmodel: mock/a")
    assert load(env={}).model == "mock/a"


def test_a_configuration_given_as_values_is_checked_like_a_file():
    with pytest.raises(ConfigurationError, match=r"^the given configuration: modle: unknown key 'modle', did you mean"):
        AsyncClient({"modle": "x"}, env={})
    with pytest.raises(ConfigurationError, match="unknown provider 'opnai'"):
        AsyncClient({"targets": {"a": {"model": "opnai/x"}}}, env={})


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_a_key_in_a_file_is_checked_when_the_configuration_is_read(folder):
    (folder / "key").write_text("sk-1\n")
    (folder / "empty").write_text("\n")
    text = "targets:\n  a: {{model: openai/x, api_key: 'file:{}'}}"
    assert mistakes(text.format("key")) == []
    assert mistakes(text.format("nope")) == [
        f"{FILE}:2: targets.a.api_key: the key's file nope cannot be read: No such file or directory"
    ]
    assert mistakes(text.format("empty")) == [f"{FILE}:2: targets.a.api_key: the key's file empty is empty"]


def test_a_key_that_no_header_can_carry_is_a_mistake_that_does_not_show_it(folder):
    (folder / "key").write_text("sk-one\nsk-two\n")
    (told,) = mistakes("providers:\n  openai: {api_key: 'file:key'}")
    assert told.startswith(f"{FILE}:2: providers.openai.api_key: the key's file key holds more than one line")
    assert "sk-" not in told


def test_an_empty_key_is_no_key():
    assert mistakes("targets:\n  a: {model: openai/x, api_key: '${TEAM_KEY:-}'}") == []


# --- editors ----------------------------------------------------------------------------------------------------------


def structs_of_the_schema():
    return {name: entry for name, entry in schema()["$defs"].items() if name != "MockAnswer"}


def test_the_schema_describes_every_key():
    for name, entry in structs_of_the_schema().items():
        assert entry["description"], name
        assert entry["additionalProperties"] is False
        for key, form in entry["properties"].items():
            assert form.get("description"), f"{name}.{key}"


def test_the_schema_lets_a_variable_stand_wherever_a_form_is_wanted():
    definitions = structs_of_the_schema()
    forms = [definitions["GatewayConfig"]["properties"]["port"], definitions["Config"]["properties"]["on_unsupported"]]
    for form in forms:
        assert {"type": "string", "pattern": r"\$\{"} in form["anyOf"]
    price = definitions["PriceConfig"]["properties"]["input"]
    assert {"type": "number", "minimum": 0} in price["anyOf"]


def test_the_schema_is_json_whose_references_lead_somewhere():
    document = schema()
    assert msgspec.json.decode(msgspec.json.encode(document)) == document
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    text = msgspec.json.encode(document).decode()
    for name in document["$defs"]:
        assert f'"#/$defs/{name}"' in text
    assert text.count('"$ref"') >= len(document["$defs"])


def test_reading_a_file_examines_it_once_and_calls_no_one(folder):
    (folder / FILE).write_text("targets: {a: {model: openai/x, base_url: 'http://127.0.0.1:1/v1'}}")
    config, told = examine(None, {})
    assert told == []
    assert config.targets["a"].base_url == "http://127.0.0.1:1/v1"
    assert not Path("nothing-is-written").exists()
