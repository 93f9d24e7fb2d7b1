"""The examples of the interfaces' pages."""

import pytest

from test_docs import PAGES, beyond, folder, run_examples

__all__ = ["beyond", "folder"]  # fixtures


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.parent.name == "interfaces"], ids=lambda page: page.name
)
def test_the_examples_of_a_page(page, beyond, folder):
    run_examples(page, beyond)
