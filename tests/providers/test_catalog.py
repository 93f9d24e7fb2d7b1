"""The catalog: rows of a program's own, and rows that an installed package brings."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, EntryPoints

import pytest

import trunkline
from trunkline.providers import catalog
from trunkline.providers.catalog import CATALOG, Catalog
from trunkline.vocabulary.errors import ConfigurationError, UnknownProvider
from trunkline.wire import openai_chat

ACME = trunkline.Provider("acme", "https://api.acme.example/v1", key_env="ACME_API_KEY", speaks=(openai_chat,))


@pytest.fixture
def rows(monkeypatch):
    """A catalog that may be added to, in the place of the built-in one."""
    fresh = Catalog({row.name: row for row in CATALOG})
    monkeypatch.setattr(catalog, "CATALOG", fresh)
    monkeypatch.setattr("trunkline.config.sense.CATALOG", fresh)
    return fresh


def test_a_registered_provider_can_be_asked(rows):
    with pytest.raises(UnknownProvider):
        trunkline.Client(env={}).render("Hi", "acme/one")
    trunkline.register_provider(ACME)
    asked = trunkline.Client(env={"ACME_API_KEY": "k"}).render("Hi", "acme/one")
    assert asked.url == "https://api.acme.example/v1/chat/completions"


def installed(monkeypatch, value):
    module = type(sys)("acme_trunkline")
    module.ROW = value
    monkeypatch.setitem(sys.modules, "acme_trunkline", module)
    point = EntryPoint("acme", "acme_trunkline:ROW", catalog.ENTRY_POINTS)

    def entry_points(*, group, name):
        return EntryPoints([point]).select(group=group, name=name)

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)


def test_a_package_brings_a_provider_by_an_entry_point(rows, monkeypatch):
    installed(monkeypatch, ACME)
    assert "acme" not in rows.names()
    assert (
        trunkline.Client(env={"ACME_API_KEY": "k"}).render("Hi", "acme/one").url.startswith("https://api.acme.example")
    )
    assert "acme" in rows.names()


def test_an_entry_point_that_is_no_row_is_a_clear_complaint(rows, monkeypatch):
    installed(monkeypatch, "acme")
    with pytest.raises(ConfigurationError, match="is no Provider of that name"):
        trunkline.Client(env={}).render("Hi", "acme/one")
