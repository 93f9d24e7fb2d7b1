"""The snapshot: which target stands behind a name, where it is, with which key, and what is known of it."""

from decimal import Decimal

import keyring
import keyring.backend
import pytest

from trunkline import AsyncClient, ConfigurationError, ModelNotRegistered, UnknownProvider
from trunkline.config import Config, parse
from trunkline.snapshot import Snapshot
from trunkline.vocabulary.usage import Usage


def snapshot(text="", **env):
    """The snapshot of a configuration without mistakes."""
    config, mistakes = parse(text, "trunkline.yaml", env)
    assert mistakes == []
    return Snapshot(config, env)


def url(made, name, operation="chat"):
    """The address that a call to `name` goes to."""
    target = made.target(name, operation)
    provider = made.catalog[target.provider]
    return provider.url(target, provider.dialect_for(operation, None))


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "operation", "found"),
    [
        ("openai/gpt-4o", "chat", ("openai/gpt-4o", "openai", "gpt-4o")),
        ("openai/not-out-yet", "chat", ("openai/not-out-yet", "openai", "not-out-yet")),
        (
            "openrouter/meta-llama/llama-3",
            "chat",
            ("openrouter/meta-llama/llama-3", "openrouter", "meta-llama/llama-3"),
        ),
        ("fireworks/accounts/fireworks/models/x", "chat", (..., "fireworks", "accounts/fireworks/models/x")),
        ("ollama/qwen3:0.6b", "chat", ("ollama/qwen3:0.6b", "ollama", "qwen3:0.6b")),
        ("gpt-4o", "chat", ("openai/gpt-4o", "openai", "gpt-4o")),
        ("claude-opus-4-5", "chat", ("anthropic/claude-opus-4-5", "anthropic", "claude-opus-4-5")),
        ("gpt-9-not-out-yet", "chat", ("openai/gpt-9-not-out-yet", "openai", "gpt-9-not-out-yet")),
        ("local", "chat", ("local/smollm2-135m", "local", "smollm2-135m")),
        ("local", "embeddings", ("local/wordllama-256", "local", "wordllama-256")),
        ("mock", "chat", ("mock/mock", "mock", "mock")),
    ],
)
def test_a_name_leads_to_a_target(name, operation, found):
    target = snapshot().target(name, operation)
    assert (target.name, target.provider, target.model) == (name if found[0] is ... else found[0], *found[1:])


def test_a_configured_target_goes_by_its_own_name_and_before_all_others():
    made = snapshot(
        """
        targets:
          fast: {model: groq/llama-3.3-70b-versatile, headers: {x-team: red}}
          gpt-4o: {model: mock/echo}
          openai/gpt-4o: {model: mock/echo}
        """
    )
    fast = made.target("fast")
    assert (fast.name, fast.provider, fast.model) == ("fast", "groq", "llama-3.3-70b-versatile")
    assert fast.headers == {"x-team": "red"}
    assert made.target("gpt-4o").provider == made.target("openai/gpt-4o").provider == "mock"


@pytest.mark.parametrize(
    ("name", "kind", "complaint"),
    [
        ("opnai/gpt-4o", UnknownProvider, "unknown provider 'opnai' in 'opnai/gpt-4o', did you mean 'openai'?"),
        ("zzz/gpt-4o", UnknownProvider, "unknown provider 'zzz' in 'zzz/gpt-4o'; there are openai, anthropic, google"),
        ("fsat", ModelNotRegistered, "unknown model 'fsat', did you mean 'fast'?"),
        ("nonesuch", ModelNotRegistered, "unknown model 'nonesuch': write provider/model, as in openai/gpt-4o-mini"),
        ("openai", ModelNotRegistered, "'openai' names no model: write openai/<model>"),
        ("openai/", ModelNotRegistered, "'openai' names no model: write openai/<model>"),
        ("", ModelNotRegistered, "no model is named: write provider/model"),
        ("/", UnknownProvider, "unknown provider ''"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused_with_a_suggestion(name, kind, complaint):
    made = snapshot("targets: {fast: {model: mock/a}}")
    with pytest.raises(kind) as caught:
        made.target(name)
    assert caught.value.message.startswith(complaint)
    assert (caught.value.status, caught.value.param) == (404, "model")


def test_the_default_models_are_the_files_or_local():
    assert (snapshot().model, snapshot().embedding_model) == ("local", "local")
    made = snapshot("model: mock/a\nembedding_model: mock/b")
    assert (made.model, made.embedding_model) == ("mock/a", "mock/b")


def test_a_new_provider_speaks_as_the_one_it_is_like():
    made = snapshot(
        """
        providers:
          acme-labs: {like: anthropic, base_url: "https://llm.acme.example", headers: {x-team: red}}
          mirror: {like: acme-labs, base_url: "https://mirror.example/v1"}
        """,
        ACME_LABS_API_KEY="sk-acme",
    )
    target = made.target("acme-labs/large")
    assert url(made, "acme-labs/large") == "https://llm.acme.example/v1/messages"
    assert target.key.reveal() == "sk-acme"
    assert made.catalog["acme-labs"].headers == {"anthropic-version": "2023-06-01", "x-team": "red"}
    assert url(made, "mirror/large") == "https://mirror.example/v1/messages"
    assert made.target("mirror/large").key is None


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "name", "address"),
    [
        ({}, "openai/x", "https://api.openai.com/v1/chat/completions"),
        ({"OPENAI_BASE_URL": "https://h.example/v1"}, "openai/x", "https://h.example/v1/chat/completions"),
        ({"OPENAI_BASE_URL": "https://h.example/v1/"}, "openai/x", "https://h.example/v1/chat/completions"),
        ({"OPENAI_API_BASE": "https://h.example/proxy"}, "openai/x", "https://h.example/proxy/chat/completions"),
        ({"OPENAI_API_BASE": "http://a", "OPENAI_BASE_URL": "http://b"}, "openai/x", "http://a/v1/chat/completions"),
        ({"OPENAI_API_BASE": ""}, "openai/x", "https://api.openai.com/v1/chat/completions"),
        ({"ANTHROPIC_API_BASE": "https://api.anthropic.com"}, "anthropic/x", "https://api.anthropic.com/v1/messages"),
        ({"ANTHROPIC_API_BASE": "https://api.anthropic.com/"}, "anthropic/x", "https://api.anthropic.com/v1/messages"),
        (
            {"ANTHROPIC_API_BASE": "https://api.anthropic.com/v1"},
            "anthropic/x",
            "https://api.anthropic.com/v1/messages",
        ),
        (
            {"ANTHROPIC_BASE_URL": "https://api.anthropic.com/v1/"},
            "anthropic/x",
            "https://api.anthropic.com/v1/messages",
        ),
        ({"GROQ_API_BASE": "https://api.groq.com"}, "groq/x", "https://api.groq.com/openai/v1/chat/completions"),
        ({"OLLAMA_API_BASE": "http://box:11434"}, "ollama/x", "http://box:11434/v1/chat/completions"),
        ({"MOCK_API_BASE": "http://elsewhere"}, "mock/x", "mock:/chat/completions"),
        ({"OPENAI_COMPATIBLE_API_BASE": "http://h:1"}, "openai-compatible/x", "http://h:1/chat/completions"),
    ],
)
def test_an_address_may_be_moved_by_variables_and_keeps_its_path(env, name, address):
    assert url(snapshot(**env), name) == address


@pytest.mark.parametrize(
    "said", ["http://h.example", "http://h.example/", "http://h.example/v1", "http://h.example/v1/"]
)
@pytest.mark.parametrize(
    "section", ["targets: {t: {model: openai/x, base_url: %s}}", "providers: {openai: {base_url: %s}}"]
)
def test_an_address_in_the_file_is_completed_in_the_same_way(section, said):
    made = snapshot(section % f'"{said}"')
    assert url(made, "t" if "targets" in section else "openai/x") == "http://h.example/v1/chat/completions"


def test_the_targets_own_address_beats_the_variable_and_the_variable_the_providers_entry():
    text = """
    targets: {t: {model: openai/x, base_url: "http://target/v1"}}
    providers: {openai: {base_url: "http://provider/v1"}}
    """
    made = snapshot(text, OPENAI_API_BASE="http://variable/v1")
    assert made.target("t").base_url == "http://target/v1"
    assert made.target("openai/x").base_url == "http://variable/v1"
    assert snapshot(text).target("openai/x").base_url == "http://provider/v1"


@pytest.mark.parametrize(
    ("name", "env", "complaint"),
    [
        ("azure/x", {}, "azure has no address: set AZURE_API_BASE, or give a base_url"),
        ("openai-compatible/x", {}, "openai-compatible has no address: set OPENAI_COMPATIBLE_API_BASE"),
        ("openai/x", {"OPENAI_API_BASE": "api.openai.com"}, "OPENAI_API_BASE must begin with http:// or https://"),
    ],
)
def test_an_address_that_is_missing_or_none_is_told_by_its_variable(name, env, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        snapshot(**env).target(name)


@pytest.mark.parametrize(
    ("text", "env", "version"),
    [
        ("", {}, "2024-10-21"),
        ("", {"AZURE_API_VERSION": "2025-01-01"}, "2025-01-01"),
        ("providers: {azure: {options: {api_version: 2025-02-02}}}", {}, "2025-02-02"),
        (
            "targets: {azure/dep: {model: azure/dep, options: {api_version: 2025-03-03}}}",
            {"AZURE_API_VERSION": "2025-01-01"},
            "2025-03-03",
        ),
    ],
)
def test_azures_deployment_and_version_are_part_of_its_address(text, env, version):
    made = snapshot(text, AZURE_API_BASE="https://me.openai.azure.com/", **env)
    at = "https://me.openai.azure.com/openai/deployments/dep"
    assert url(made, "azure/dep") == f"{at}/chat/completions?api-version={version}"
    if not text.startswith("targets"):
        assert url(made, "azure/dep", "embeddings") == f"{at}/embeddings?api-version={version}"


# --- keys -------------------------------------------------------------------------------------------------------------


def test_several_targets_of_one_provider_have_a_key_each():
    made = snapshot(
        """
        targets:
          red: {model: openai/gpt-4o, api_key: "${RED_KEY}"}
          blue: {model: openai/gpt-4o, api_key: "${BLUE_KEY}"}
          usual: {model: openai/gpt-4o}
        """,
        RED_KEY="sk-red",
        BLUE_KEY="sk-blue",
        OPENAI_API_KEY="sk-usual",
    )
    keys = [made.target(name).key.reveal() for name in ("red", "blue", "usual", "openai/gpt-4o")]
    assert keys == ["sk-red", "sk-blue", "sk-usual", "sk-usual"]


def test_the_variable_beats_the_providers_entry_and_an_empty_one_is_none():
    text = "providers: {openai: {api_key: sk-file}}"
    assert snapshot(text, OPENAI_API_KEY="sk-env").target("openai/x").key.reveal() == "sk-env"
    assert snapshot(text, OPENAI_API_KEY=" ").target("openai/x").key.reveal() == "sk-file"
    assert snapshot(OPENAI_API_KEY="").target("openai/x").key is None


@pytest.mark.parametrize("said", ["file:{}", " file:{} "])
def test_a_key_may_lie_in_a_file(tmp_path, said):
    path = tmp_path / "key"
    path.write_bytes(b"\xef\xbb\xbfsk-file\r\n")
    assert snapshot(OPENAI_API_KEY=said.format(path)).target("openai/x").key.reveal() == "sk-file"


class Keyring(keyring.backend.KeyringBackend):
    """A keyring with one key in it."""

    priority = 1

    def get_password(self, service, username):
        return "sk-ring" if (service, username) == ("llm", "openai") else None

    def set_password(self, service, username, password):
        raise NotImplementedError

    def delete_password(self, service, username):
        raise NotImplementedError


@pytest.fixture
def ring():
    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())
    yield
    keyring.set_keyring(before)


def test_a_key_may_lie_in_the_keyring(ring):
    made = snapshot(OPENAI_API_KEY="keyring:llm/openai", XAI_API_KEY="keyring:llm/xai", GROQ_API_KEY="keyring:llm")
    assert made.target("openai/x").key.reveal() == "sk-ring"
    with pytest.raises(ConfigurationError, match="the keyring holds no key 'xai' for the service 'llm'"):
        made.target("xai/x")
    with pytest.raises(ConfigurationError, match="'keyring:llm' names no key: write keyring:service/name"):
        made.target("groq/x")


def test_a_machine_without_a_keyring_says_so():
    import keyring.backends.fail

    before = keyring.get_keyring()
    keyring.set_keyring(keyring.backends.fail.Keyring())
    try:
        with pytest.raises(ConfigurationError, match="this machine's keyring gives no keys: NoKeyringError"):
            snapshot(OPENAI_API_KEY="keyring:llm/openai").target("openai/x")
    finally:
        keyring.set_keyring(before)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is empty"),
        (b"sk-one\nsk-two", "holds more than one line of plain characters"),
        (b"\xff\xfe", "is not text"),
    ],
)
def test_a_key_that_is_no_key_is_refused_without_being_shown(tmp_path, content, complaint):
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"the key's file {path} {complaint}") as caught:
        snapshot(OPENAI_API_KEY=f"file:{path}").target("openai/x")
    assert "sk-" not in str(caught.value)


def test_a_variable_that_holds_no_key_is_named_without_being_shown():
    with pytest.raises(ConfigurationError, match="the variable OPENAI_API_KEY holds more than one line") as caught:
        snapshot(OPENAI_API_KEY="sk-secret\nx").target("openai/x")
    assert "sk-secret" not in str(caught.value)


def test_no_key_shows_itself_anywhere():
    made = snapshot(
        "targets: {t: {model: openai/x, api_key: '${KEY}'}}", KEY="sk-secret", ANTHROPIC_API_KEY="sk-secret-too"
    )
    targets = [made.target("t"), made.target("anthropic/x")]
    shown = [repr(targets), str(targets), repr([*made.available()]), f"{targets[0].key}"]
    client = AsyncClient({"targets": {"t": {"model": "openai/x", "api_key": "sk-secret"}}}, env={})
    shown.append(repr(client.render("hi", "t")))
    assert "authorization" in shown[-1].lower()
    assert "sk-secret" not in "".join(shown)


# --- what there is ----------------------------------------------------------------------------------------------------


def reasons(made):
    return {entry.name: (entry.ready, entry.why) for entry in made.available()}


def test_what_can_be_called_and_why_the_rest_cannot():
    found = reasons(snapshot(GROQ_API_KEY="k", VLLM_BASE_URL="http://box:8000"))
    assert found["groq"] == (True, "key from GROQ_API_KEY")
    assert found["openai"] == (False, "OPENAI_API_KEY is not set")
    assert found["azure"] == (False, "azure has no address: set AZURE_API_BASE, or give a base_url")
    assert found["vllm"] == (True, "at http://box:8000/v1, without a key")
    assert found["ollama"] == (False, "OLLAMA_API_BASE is not set; ollama/<model> asks http://127.0.0.1:11434/v1")
    assert found["mock"] == (True, "needs no key")


def test_targets_come_first_and_say_where_their_own_key_comes_from():
    made = snapshot(
        """
        targets:
          own: {model: openai/gpt-4o, api_key: sk-own}
          usual: {model: openai/gpt-4o}
          none: {model: xai/grok-4}
          ring: {model: xai/grok-4, api_key: "keyring:x"}
          home: {model: vllm/qwen}
        providers: {ollama: {}, deepseek: {api_key: k}}
        """,
        OPENAI_API_KEY="k",
    )
    assert [entry.name for entry in made.available()][:6] == ["own", "usual", "none", "ring", "home", "openai"]
    found = reasons(made)
    assert found["own"] == (True, "key from the file")
    assert found["usual"] == (True, "key from OPENAI_API_KEY")
    assert found["none"] == (False, "XAI_API_KEY is not set")
    assert found["ring"] == (False, "'keyring:x' names no key: write keyring:service/name")
    assert found["home"] == (True, "at http://127.0.0.1:8000/v1, without a key")
    assert found["vllm"][0] is False  # a target says so for itself
    assert found["ollama"] == (True, "at http://127.0.0.1:11434/v1, without a key")
    assert found["deepseek"] == (True, "key from the file")


def test_a_provider_lists_the_models_that_are_known_by_names_that_can_be_asked():
    made = snapshot(OPENAI_API_KEY="k")
    models = {entry.name: entry.models for entry in made.available()}
    assert "openai/gpt-4o" in models["openai"] and "openai/text-embedding-3-small" in models["openai"]
    assert models["local"] == ("local/smollm2-135m", "local/wordllama-256")
    assert models["vllm"] == ()  # a server of the user's own: nobody here knows what it serves
    assert all(made.target(name).provider == "openai" for name in models["openai"])


def test_a_configuration_made_by_hand_with_a_target_that_leads_nowhere_does_not_break_the_list():
    from trunkline.config import TargetConfig

    made = Snapshot(Config(targets={"t": TargetConfig(model="opnai/x")}), {})
    assert reasons(made)["t"][0] is False


# --- facts and prices -------------------------------------------------------------------------------------------------


def test_a_target_knows_its_models_facts_whatever_its_name():
    made = snapshot("targets: {fast: {model: openai/gpt-4o}, own: {model: azure/o3, base_url: 'http://h'}}")
    assert made.model_facts(made.target("fast")).context == 128_000
    assert made.facts(made.target("fast"), made.catalog["openai"]).max_output == 16_384
    thinker = made.facts(made.target("own"), made.catalog["azure"])
    assert (thinker.sampling, thinker.reasoning) == (False, True)
    unknown = made.facts(made.target("openai/not-out-yet-7"), made.catalog["openai"])
    assert (unknown.max_output, unknown.sampling, unknown.reasoning) == (None, True, None)


MILLION = Usage(input=1_000_000, output=1_000_000)


def total(made, name):
    cost = made.price(made.target(name), MILLION)
    return cost if cost is None else Decimal(cost)


def test_the_files_prices_beat_the_built_in_ones_and_are_exact():
    made = snapshot(
        """
        targets: {fast: {model: openai/gpt-4o}}
        prices:
          openai/gpt-4o: {input: 0.1, output: 0.2}
          acme/large: {input: 3}
          openai/not-out-yet-7: {input: 1, output: 2}
        providers: {acme: {like: openai-compatible, base_url: "http://h"}}
        """
    )
    assert total(made, "openai/gpt-4o") == total(made, "fast") == Decimal("0.3")
    assert total(made, "acme/large") == 3
    assert total(made, "openai/not-out-yet-7") == 3
    assert made.model_facts(made.target("fast")).context == 128_000  # the other facts stay


def test_a_price_that_nobody_knows_is_unknown_and_what_runs_here_is_free():
    made = snapshot()
    assert total(made, "openai/not-out-yet-7") is None
    assert total(made, "mock/echo") == 0
    assert made.price(made.target("mock/echo"), None) is None


def test_names_from_strangers_do_not_fill_the_memory():
    made = snapshot()
    for number in range(10_500):
        made.target(f"mock/{number}")
    assert len(made._targets) <= 10_000
