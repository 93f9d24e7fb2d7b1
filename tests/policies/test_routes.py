"""Routes as configured: what a name leads to, in which order, and that no configuration leads round and round."""

import asyncio
from typing import get_args

import msgspec
import pytest
from course import Course, Said
from hypothesis import given
from hypothesis import strategies as st

from trunkline.config import parse
from trunkline.config.shapes import Strategy
from trunkline.policies.route import STRATEGIES
from trunkline.snapshot.routes import Routes
from trunkline.vocabulary.errors import AllTargetsFailed, ServiceError
from trunkline.vocabulary.routes import Target

pytestmark = pytest.mark.anyio

ROUTES = "rstuv"
TARGETS = tuple(f"mock/{name}" for name in "abcdef")
POOL = st.lists(st.sampled_from(TARGETS), min_size=1, max_size=3, unique=True)


@st.composite
def configured(draw):
    """Routes whose fallbacks may be each other, in a circle too."""
    routes = {}
    for name in ROUTES:
        pool = draw(POOL)
        strategy = draw(st.sampled_from(sorted(set(STRATEGIES) - {"by-complexity"})))
        fallbacks = draw(
            st.lists(st.sampled_from((*ROUTES, *TARGETS)).filter(lambda to, own=name: to != own), max_size=3)
        )
        routes[name] = {"targets": pool, "strategy": strategy, "fallbacks": list(dict.fromkeys(fallbacks))}
    return routes


def target_of(name, operation):
    return Target(name=name, provider="mock", model=name, base_url="mock:")


def found(routes, name, fallbacks=None):
    config, mistakes = parse(msgspec.json.encode({"routes": routes}).decode(), "test.yaml", {})
    assert not mistakes
    return Routes(config, target_of).find(name, "chat", fallbacks)


def reached(routes, name, seen):
    """Every pool that a name leads to, each once, depth first."""
    if name in seen:
        return
    seen.append(name)
    for other in routes.get(name, {}).get("fallbacks", ()):
        reached(routes, other, seen)


def test_what_can_be_configured_is_what_there_is():
    assert set(get_args(Strategy)) == set(STRATEGIES)


@given(configured(), st.sampled_from(ROUTES))
def test_each_pool_comes_once_its_own_first_then_as_its_fallbacks_are_listed(routes, name):
    route, pools = found(routes, name), []
    reached(routes, name, pools)
    assert [entry.name for entry in route.entries] == pools
    for entry in route.entries:
        said = routes.get(entry.name, {"targets": [entry.name], "strategy": "ordered"})
        assert [member.target.name for member in entry.members] == said["targets"]
        assert entry.strategy == said["strategy"]


@given(configured(), st.sampled_from(ROUTES), st.lists(st.sampled_from(TARGETS), max_size=2, unique=True))
def test_a_callers_fallbacks_stand_in_the_place_of_the_routes(routes, name, fallbacks):
    route = found(routes, name, tuple(fallbacks))
    assert [entry.name for entry in route.entries] == [name, *fallbacks]


@given(configured(), st.sampled_from(ROUTES), st.integers(0, 3))
def test_no_configuration_makes_more_attempts_than_it_has_targets_and_retries(routes, name, retries):
    route = found(routes, name)
    course = Course()
    course.script = {target: [Said(error=ServiceError("no"))] for target in TARGETS}
    with pytest.raises((ServiceError, AllTargetsFailed)):
        asyncio.run(course.ask(route, retries=retries))
    targets = {member.target.name for entry in route.entries for member in entry.members}
    assert len(course.asked) == len(targets) + retries
