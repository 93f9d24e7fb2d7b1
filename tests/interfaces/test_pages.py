"""The examples of the interfaces' pages."""

import pytest

from test_docs import PAGES, beyond, folder, run_examples
from trunkline.interfaces import registry
from trunkline.interfaces.handlers import LLMAPIHandlerFactory, LLMConfigRegistry

__all__ = ["beyond", "folder"]  # fixtures


@pytest.fixture
def emptied():
    """What a page registers is its own."""
    yield
    registry.reset_llm_providers()
    LLMConfigRegistry.reset()
    LLMAPIHandlerFactory.reset()


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.parent.name == "interfaces"], ids=lambda page: page.name
)
def test_the_examples_of_a_page(page, beyond, folder, emptied, monkeypatch):
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-placeholder")
    monkeypatch.setenv("OPENROUTER_BASE_URL", f"{beyond.upstream.url}/v1")
    run_examples(page, beyond)
