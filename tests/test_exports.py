"""The public surface: this page. Everything that is not on it may change without asking."""

import trunkline

PUBLIC = [
    "APIConnectionError",
    "APITimeoutError",
    "Agent",
    "AllTargetsFailed",
    "AsyncClient",
    "AsyncStream",
    "Audio",
    "AuthenticationError",
    "BudgetError",
    "Client",
    "Config",
    "ConfigurationError",
    "ContentPolicyError",
    "ContextWindowError",
    "CutOff",
    "EmbeddingReply",
    "Event",
    "File",
    "Image",
    "InvalidRequestError",
    "LimitError",
    "Message",
    "MockAnswer",
    "ModelError",
    "ModelNotRegistered",
    "ModerationReply",
    "OverloadedError",
    "Provider",
    "RateLimitError",
    "Record",
    "Rendered",
    "Reply",
    "RerankReply",
    "ResourceExhaustedError",
    "ResponseFormat",
    "ResponseParseError",
    "ServiceError",
    "Stream",
    "Text",
    "Thinking",
    "TokenCount",
    "Tool",
    "ToolCall",
    "ToolChoice",
    "ToolResult",
    "TrunklineError",
    "UnknownProvider",
    "Usage",
    "__version__",
    "audio",
    "complete",
    "embed",
    "file",
    "function_provider",
    "image",
    "register_provider",
    "said",
    "stream",
]


def test_public_names():
    assert sorted(trunkline.__all__) == sorted(PUBLIC)


def test_lazy_names_resolve():
    for name in PUBLIC:
        assert getattr(trunkline, name) is not None


def test_every_public_thing_is_documented():
    for name in PUBLIC:
        thing = getattr(trunkline, name)
        assert name == "__version__" or thing.__doc__, name
