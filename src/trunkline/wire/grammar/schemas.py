"""Schemas: JSON Schema on its way to an API that takes only a part of it.

Owns the walk through a schema, what its references mean, and how it is made to fit. Each dialect brings its table
(`Takes`); the docs print all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from msgspec import Struct

from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import Loss

NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords under which schemas stand by name: there a name that looks like a keyword is none."""

NESTED = frozenset({
    "items", "prefixItems", "additionalItems", "additionalProperties", "contains", "propertyNames",
    "unevaluatedItems", "unevaluatedProperties", "anyOf", "oneOf", "allOf", "not", "if", "then", "else",
})  # fmt: skip
"""Keywords that hold a schema or a list of them."""

SILENT = frozenset({
    "$schema", "$comment", "$id", "default", "deprecated", "examples", "readOnly", "writeOnly", "strict",
})  # fmt: skip
"""Keywords that hold nobody: nothing is lost without them."""

MOST = 10_000
"""So many schemas may one become when its references are replaced by what they refer to."""


def inside(schema: Json) -> Iterator[Json]:
    """The schemas that stand directly in this one."""
    for key, value in schema.items():
        held: list[Any] = [value]
        if key in NAMED:
            held = [*cast("Json", value).values()] if isinstance(value, dict) else []
        elif key in NESTED and isinstance(value, list):
            held = cast("list[Any]", value)
        elif key not in NESTED:
            continue
        for one in held:
            if isinstance(one, dict):
                yield cast("Json", one)


def mapped(schema: Json, change: Callable[[Json], Json]) -> Json:
    """A copy of the schema with those that stand directly in it changed."""
    copy: Json = {}
    for key, value in schema.items():
        if key in NAMED and isinstance(value, dict):
            copy[key] = {name: _changed(one, change) for name, one in cast("Json", value).items()}
        elif key in NESTED and isinstance(value, list):
            copy[key] = [_changed(one, change) for one in cast("list[Any]", value)]
        else:
            copy[key] = _changed(value, change) if key in NESTED else value
    return copy


def _changed(value: Any, change: Callable[[Json], Json]) -> Any:
    return change(cast("Json", value)) if isinstance(value, dict) else value


# --- references -------------------------------------------------------------------------------------------------------


def refers_to_itself(schema: Json) -> bool:
    """Whether it has no end when its references are followed, as a tree's has none."""
    return bool(_circles(schema))


def inlined(schema: Json) -> Json:
    """The schema with what it refers to in the place of each reference. What refers to itself stays, under `$defs`."""
    return _Inlining(schema).done()


def _target(root: Json, pointer: Any) -> Json | None:
    """What a reference stands for (`#/$defs/City`); None where that is not in the schema."""
    if not isinstance(pointer, str) or (pointer != "#" and not pointer.startswith("#/")):
        return None
    found: Any = root
    for step in pointer[1:].split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isdecimal():
            items = cast("list[Any]", found)
            found = items[int(name)] if int(name) < len(items) else None
        else:
            found = cast("Json", found).get(name) if isinstance(found, dict) else None
    return cast("Json", found) if isinstance(found, dict) else None


def _references(schema: Json) -> Iterator[str]:
    """Every reference in a schema, its definitions left out: they count where they are referred to."""
    waiting = [schema]
    while waiting:
        one = waiting.pop()
        if isinstance(pointer := one.get("$ref"), str):
            yield pointer
        waiting += inside({key: value for key, value in one.items() if key not in {"$defs", "definitions"}})


def _circles(root: Json) -> set[str]:
    """The references that lead back to themselves, or to such a one."""
    leads: dict[str, set[str]] = {}
    come: dict[str, list[str]] = {}
    waiting = [*_references(root)]
    while waiting:
        pointer = waiting.pop()
        if pointer not in leads:
            target = _target(root, pointer)
            leads[pointer] = set(_references(target)) if target is not None else set()
            for next_one in leads[pointer]:
                come.setdefault(next_one, []).append(pointer)
            waiting += leads[pointer]
    ending = [pointer for pointer, next_ones in leads.items() if not next_ones]
    while ending:  # what leads to ends only, ends
        pointer = ending.pop()
        for before in come.get(pointer, ()):
            leads[before].discard(pointer)
            if not leads[before]:
                ending.append(before)
    return {pointer for pointer, next_ones in leads.items() if next_ones}


class _Inlining:
    """One schema whose references are being replaced."""

    def __init__(self, root: Json) -> None:
        self._root = root
        self._circles = _circles(root)
        self._names: dict[str, str] = {}
        self._definitions: Json = {}
        self._left = MOST

    def done(self) -> Json:
        body = self._bare(self._root)
        if self._left < 0:  # it would grow without measure
            return self._root
        return {**body, "$defs": self._definitions} if self._definitions else body

    def _bare(self, schema: Json) -> Json:
        self._left -= 1
        if self._left < 0:
            return {}
        pointer = schema.get("$ref")
        target = _target(self._root, pointer) if pointer is not None else None
        beside = {key: value for key, value in schema.items() if key not in {"$defs", "definitions", "$ref"}}
        if target is None:
            return mapped(beside | ({"$ref": pointer} if pointer is not None else {}), self._bare)
        if pointer in self._circles:
            return {"$ref": f"#/$defs/{self._kept(str(pointer), target)}", **mapped(beside, self._bare)}
        return {**self._bare(target), **mapped(beside, self._bare)}

    def _kept(self, pointer: str, target: Json) -> str:
        """The name under which something that refers to itself stays."""
        name = self._names.get(pointer)
        if name is None:
            stem = pointer.rpartition("/")[2].strip("#") or "root"
            name = stem if stem not in self._names.values() else f"{stem}_{len(self._names)}"
            self._names[pointer] = name
            self._definitions[name] = self._bare(target)
        return name


# --- fitting ----------------------------------------------------------------------------------------------------------


class Takes(Struct, frozen=True, kw_only=True):
    """What an API takes of JSON Schema where it holds a model to it."""

    known: frozenset[str] | None = None
    """The keywords it takes; None: all but the refused."""
    refused: frozenset[str] = frozenset()
    highest: Mapping[str, int] = {}
    """Keywords whose value may be no higher."""
    closed: bool = False
    """Objects must forbid keys that they do not name."""
    complete: bool = False
    """Objects must require every key that they name."""
    references: bool = True
    """It follows `$ref`; elsewhere what is meant stands in its place."""
    lone_references: bool = False
    """Beside a `$ref` nothing else may stand."""
    recursive: bool = False
    """It takes schemas that refer to themselves."""
    page: str = ""
    """Where the provider says so."""

    def takes(self, keyword: str, value: Any) -> bool:
        """Whether it takes a keyword with this value."""
        if keyword in self.highest and isinstance(value, int | float):
            return value <= self.highest[keyword]
        return keyword not in self.refused and (self.known is None or keyword in self.known)


def fit(schema: Json, takes: Takes, where: str, losses: list[Loss]) -> Json:
    """The schema as far as an API takes it; what it cannot be told is listed."""
    lost: set[str] = set()
    if not takes.references:
        schema = inlined(schema)
    fitted = _Fitting(takes, lost).fit(schema)
    losses += [Loss(f"{where}.{keyword}", "the API cannot hold the model to it", "range") for keyword in sorted(lost)]
    return fitted


def fits(schema: Json, takes: Takes) -> bool:
    """Whether an API takes the schema as it is."""
    if takes.complete and schema.get("type") != "object":
        return False
    if not takes.recursive and refers_to_itself(schema):
        return False
    waiting = [schema]
    while waiting:
        one = waiting.pop()
        if not all(takes.takes(key, value) for key, value in one.items()) or _is_any(one):
            return False
        if one.get("type") == "object" or "properties" in one:
            if takes.closed and one.get("additionalProperties") is not False:
                return False
            if takes.complete and not _names(one.get("properties")) <= _names(one.get("required")):
                return False
        waiting += inside(one)
    return True


_SAYING = frozenset({"type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"})


def _is_any(schema: Json) -> bool:
    """Whether everything fits it: nobody can be held to that."""
    return not schema.keys() & _SAYING or (schema.get("type") == "array" and "items" not in schema)


def _names(value: Any) -> set[Any]:
    named = cast("list[Any]", value) if isinstance(value, dict | list) else ()
    return {name for name in named if isinstance(name, str)}


class _Fitting:
    """One schema on its way to one API."""

    def __init__(self, takes: Takes, lost: set[str]) -> None:
        self._takes = takes
        self._lost = lost

    def fit(self, schema: Json) -> Json:
        takes = self._takes
        schema = self._alone(self._merged(schema))
        fitted: Json = {}
        for key, value in schema.items():
            if takes.takes(key, value):
                fitted[key] = value
            elif key == "definitions":
                fitted["$defs"] = value
            elif key == "const":
                fitted["enum"] = [value]
            elif key == "oneOf" and "anyOf" not in schema:
                fitted["anyOf"] = value
            elif key not in SILENT:
                self._lost.add(key)
        if "$ref" in fitted and isinstance(fitted["$ref"], str) and not takes.takes("definitions", None):
            fitted["$ref"] = fitted["$ref"].replace("#/definitions/", "#/$defs/")
        fitted = mapped(fitted, self.fit)
        if takes.closed and (fitted.get("type") == "object" or "properties" in fitted):
            if fitted.get("additionalProperties", False) is not False:
                self._lost.add("additionalProperties")
            fitted["additionalProperties"] = False
        return fitted

    def _merged(self, schema: Json) -> Json:
        """`allOf` of one schema is that schema."""
        while not self._takes.takes("allOf", None):
            both: Any = schema.get("allOf")
            if not isinstance(both, list) or len(cast("list[Any]", both)) != 1 or not isinstance(both[0], dict):
                break
            schema = {**{key: value for key, value in schema.items() if key != "allOf"}, **cast("Json", both[0])}
        return schema

    def _alone(self, schema: Json) -> Json:
        if not self._takes.lone_references or "$ref" not in schema:
            return schema
        kept = {key: value for key, value in schema.items() if key[:1] == "$" or key == "definitions"}
        unsaid = schema.keys() - kept.keys() - SILENT
        self._lost.update(key for key in unsaid if not self._takes.takes(key, schema[key]))
        return kept
