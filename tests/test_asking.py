"""What a caller of the library may write: messages, media, tools, the form of an answer; and what is refused."""

import base64
import dataclasses
import enum
import functools
from pathlib import Path
from typing import Annotated, Literal, Optional, TypedDict

import msgspec
import pydantic
import pytest

from trunkline import (
    AsyncClient,
    Audio,
    File,
    Image,
    InvalidRequestError,
    Message,
    MockAnswer,
    ResponseFormat,
    ResponseParseError,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    audio,
    file,
    image,
    said,
)
from trunkline.asking import embedding_request_from, form_from, messages_from, request_from, tool_from
from trunkline.providers.mock import MockTransport
from trunkline.runtime import Runtime
from trunkline.testing import FakeClock
from trunkline.vocabulary.parts import Source

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\nrest"


def asked(messages="hi", **options):
    """The request that a client would make of its arguments."""
    words = {name: options.pop(name) for name in ("system", "tools", "tool_choice") if name in options}
    return request_from("mock/echo", messages, settings=options, **words)


# --- messages ---------------------------------------------------------------------------------------------------------


def test_text_is_a_question_of_the_user():
    assert messages_from("hi") == (said("user", "hi"),)


def test_a_system_prompt_comes_first():
    assert messages_from("hi", "Be brief.") == (said("system", "Be brief."), said("user", "hi"))


def test_texts_and_media_in_a_list_are_one_message():
    picture = image(PNG)
    assert messages_from(["What is this?", picture]) == (said("user", "What is this?", picture),)
    assert messages_from(["One.", "Two."]) == (said("user", "One.", "Two."),)
    assert messages_from(picture) == (said("user", picture),)


def test_structs_dicts_and_texts_may_be_mixed():
    conversation = [said("system", "Be brief."), "hi", {"role": "assistant", "content": "Hello."}, "and now?"]
    assert [(message.role, message.text) for message in messages_from(conversation)] == [
        ("system", "Be brief."),
        ("user", "hi"),
        ("assistant", "Hello."),
        ("user", "and now?"),
    ]


def test_dicts_in_openais_shape_keep_all_they_say():
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    user, assistant, tool = messages_from(
        [
            {
                "role": "user",
                "name": "ann",
                "content": [
                    {"type": "text", "text": "Look:"},
                    {"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "low"}},
                    {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
                ],
            },
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "3"},
        ]
    )
    assert user.name == "ann"
    assert [type(part) for part in user.parts] == [Text, Image, Audio]
    assert user.parts[1].source.url == "https://x.example/a.png"
    assert assistant.parts == (ToolCall("c1", "add", '{"a": 1}'),)
    assert tool.parts == (ToolResult("c1", (Text("3"),)),)


def test_the_content_of_a_dict_may_hold_our_own_media():
    (message,) = messages_from(
        [{"role": "user", "content": ["Look:", image(PNG), {"type": "text", "text": "What is it?"}]}]
    )
    assert [type(part) for part in message.parts] == [Text, Image, Text]


def test_a_single_dict_is_a_conversation():
    assert messages_from({"role": "user", "content": "hi"}) == (said("user", "hi"),)


def test_what_a_reply_shows_in_openais_shape_can_be_sent_back():
    answer = Message("assistant", (Text("I add."), ToolCall("c1", "add", "{}")))
    by_hand = {"role": "assistant", "content": answer.content, "tool_calls": answer.tool_calls}
    read = messages_from([by_hand])
    assert read == messages_from([dict(answer)])
    assert (read[0].role, read[0].parts) == (answer.role, answer.parts)


def test_an_object_of_the_openai_package_can_be_sent_back():
    from openai.types.chat import ChatCompletionMessage

    theirs = ChatCompletionMessage(role="assistant", content="Hello.")
    assert messages_from([theirs]) == (said("assistant", "Hello."),)
    assert messages_from([theirs])[0].extra == {}  # their empty fields are not sent: some servers refuse null


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([], "messages must not be empty"),
        (None, "messages must be text or a list, not NoneType"),
        (b"hi", "messages must be text or a list, not bytes"),
        ((text for text in ["hi"]), "messages must be text or a list, not generator"),
        ([1], r"messages\[0\] must be text, a dict or a Message, not int"),
        ([{"content": "hi"}], r"messages\[0\].role"),
        ([{"role": "usr", "content": "hi"}], r"messages\[0\].role must be one of .*user.*, not 'usr'"),
        (["hi", {"role": "user", "content": 3}], r"messages\[1\].content"),
        ([{"role": "tool", "content": "3"}], r"messages\[0\].tool_call_id"),
        ([{"role": "user", "content": [{"text": "hi"}]}], r"messages\[0\].content\[0\].type"),
        ([said("user", "hi"), Image(Source(url="u"))], r"messages\[1\] is a Image between whole messages: put it"),
    ],
)
def test_messages_that_say_nothing_clear_are_refused_with_their_place(messages, complaint):
    with pytest.raises(InvalidRequestError, match=complaint) as caught:
        asked(messages)
    assert caught.value.param is not None


def test_a_system_prompt_is_text():
    with pytest.raises(InvalidRequestError, match="system must be text, not list"):
        asked("hi", system=["Be brief."])


# --- media ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF1234WEBPVP8 ", "image/webp"),
        (b"who knows", "image/png"),
    ],
)
def test_a_pictures_kind_is_found_in_its_bytes(content, kind):
    assert image(content).source == Source(data=base64.b64encode(content).decode(), media_type=kind)


def test_what_the_caller_says_beats_the_bytes_and_the_bytes_beat_the_name(tmp_path: Path):
    path = tmp_path / "photo.png"
    path.write_bytes(b"\xff\xd8\xff\xe0")
    assert image(path).source.media_type == "image/jpeg"
    assert image(str(path)).source.media_type == "image/jpeg"
    assert image(path.as_uri(), media_type="image/x-own").source.media_type == "image/x-own"
    path.write_bytes(b"no magic")
    assert image(path).source.media_type == "image/png"


def test_a_url_is_passed_on_with_its_detail():
    picture = image("https://x.example/a.jpg?size=2", detail="high")
    assert (picture.source, picture.detail) == (
        Source(url="https://x.example/a.jpg?size=2", media_type="image/jpeg"),
        "high",
    )
    assert image("https://x.example/picture.php").source.media_type is None


def test_a_data_url_is_taken_apart():
    assert image("data:image/gif;base64,R0lGODlh").source == Source(data="R0lGODlh", media_type="image/gif")
    plain = file("data:text/plain;charset=utf-8,a%20b").source
    assert (base64.b64decode(plain.data), plain.media_type) == (b"a b", "text/plain")


@pytest.mark.parametrize(
    ("content", "kind", "form"),
    [
        (b"RIFF1234WAVEfmt ", "audio/wav", "wav"),
        (b"ID3\x04", "audio/mpeg", "mp3"),
        (b"OggS", "audio/ogg", "ogg"),
        (b"fLaC", "audio/flac", "flac"),
        (b"unknown", "audio/wav", "wav"),
    ],
)
def test_a_sounds_format_is_found_in_its_bytes(content, kind, form):
    sound = audio(content)
    assert (sound.source.media_type, sound.format) == (kind, form)


def test_a_file_keeps_its_name_and_kind(tmp_path: Path):
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.7")
    (tmp_path / "notes").write_bytes("grüße".encode())
    report, notes = file(tmp_path / "report.pdf"), file(str(tmp_path / "notes"), name="n.txt")
    assert (report.name, report.source.media_type) == ("report.pdf", "application/pdf")
    assert (notes.name, notes.source.media_type) == ("n.txt", "text/plain")
    assert file(b"\x00\xff\xfe").source.media_type == "application/octet-stream"
    assert isinstance(file("https://x.example/a.pdf"), File)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda folder: image(folder / "nope.png"), "nope.png cannot be read: No such file"),
        (lambda folder: image(str(folder)), "cannot be read: Is a directory"),
        (lambda folder: image("a\0b"), "cannot be read"),
        (lambda folder: image(b""), "these bytes are empty"),
        (lambda folder: image(folder / "empty.png"), "empty.png is empty"),
        (lambda folder: image(folder / "report.pdf"), r"report.pdf: application/pdf is no image; use file\(\)"),
        (lambda folder: audio(PNG), "these bytes: image/png is no audio"),
        (lambda folder: image(3), "takes a path, bytes or a URL, not int"),
        (lambda folder: image("data:image/png;base64"), "a data URL has a comma"),
        (lambda folder: image("data:image/png;base64,***"), "no valid base64"),
    ],
)
def test_media_that_cannot_be_sent_are_refused(tmp_path: Path, make, complaint):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.7")
    with pytest.raises(InvalidRequestError, match=complaint):
        make(tmp_path)


# --- tools ------------------------------------------------------------------------------------------------------------


class Unit(enum.Enum):
    CELSIUS = "c"
    FAHRENHEIT = "f"


@dataclasses.dataclass
class Place:
    city: str
    country: str = "FR"


class Box(msgspec.Struct):
    place: Place


class Point(pydantic.BaseModel):
    x: int
    near: list[Place] = []


def google(city: str, days: int = 3, unit: Unit = Unit.CELSIUS, exact: bool = False) -> str:
    """Forecast the weather
    of a city.

    It is often right.

    Args:
        city (str): Where to look,
            in any language.
        days: How many days.
            Counted from: today.
        unit (Unit, optional): Of the temperature.

    Returns:
        str: A sentence. exact: it is not a parameter here.
    """


def numpy(city: str, days: int = 3, unit: Unit = Unit.CELSIUS, exact: bool = False) -> str:
    """Forecast the weather of a city.

    Parameters
    ----------
    city : str
        Where to look,
        in any language.
    days : int, optional
        How many days.
        Counted from: today.
    unit : Unit
        Of the temperature.

    Returns
    -------
    str
        A sentence.
    """


def rest(city: str, days: int = 3, unit: Unit = Unit.CELSIUS, exact: bool = False) -> str:
    """Forecast the weather of a city.

    :param city: Where to look,
        in any language.
    :param int days: How many days.
        Counted from: today.
    :param unit: Of the temperature.
    :type unit: Unit
    :returns: A sentence.
    """


@pytest.mark.parametrize("function", [google, numpy, rest])
def test_a_function_is_a_tool_whatever_the_style_of_its_docstring(function):
    tool = tool_from(function)
    assert (tool.name, tool.description) == (function.__name__, "Forecast the weather of a city.")
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Where to look, in any language."},
            "days": {"type": "integer", "default": 3, "description": "How many days. Counted from: today."},
            "unit": {"$ref": "#/$defs/Unit", "default": "c", "description": "Of the temperature."},
            "exact": {"type": "boolean", "default": False},
        },
        "required": ["city"],
        "additionalProperties": False,
        "$defs": {"Unit": {"title": "Unit", "enum": ["c", "f"]}},
    }


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (str, {"type": "string"}),
        (Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}),  # noqa: UP045 people write it
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (Literal["a", "b"], {"enum": ["a", "b"]}),
        (list[float], {"type": "array", "items": {"type": "number"}}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (Annotated[str, "where to look"], {"type": "string", "description": "where to look"}),
        (Annotated[int, msgspec.Meta(ge=1, description="how many")], {"type": "integer", "minimum": 1}),
        (Annotated[str, pydantic.Field(description="by field")], {"type": "string", "description": "by field"}),
    ],
)
def test_each_annotation_has_its_schema(annotation, schema):
    def look(what):
        """Look."""

    look.__annotations__["what"] = annotation
    found = tool_from(look).parameters["properties"]["what"]
    assert found | schema == found


@pytest.mark.parametrize("kind", [Place, Box, Point, list[Point], Point | None])
def test_a_structured_parameter_brings_its_definitions_to_the_top(kind):
    def go(where):
        """Go."""

    go.__annotations__["where"] = kind
    parameters = tool_from(go).parameters
    assert parameters["$defs"]["Place"]["properties"]["city"] == {"type": "string"} | (
        {"title": "City"} if "Point" in str(kind) else {}
    )
    assert_references_lead_somewhere(parameters)


def assert_references_lead_somewhere(schema):
    text = msgspec.json.encode(schema).decode()
    assert text.count('"$defs"') <= 1
    for piece in text.split('"#/$defs/')[1:]:
        assert piece.partition('"')[0] in schema["$defs"]


def test_a_parameter_without_annotation_is_of_its_defaults_type_or_text():
    def find(what, many=3, exact=False, where=None):
        pass

    properties = tool_from(find).parameters["properties"]
    assert [entry["type"] for entry in properties.values()] == ["string", "integer", "boolean", "string"]
    assert tool_from(find).description is None


def test_methods_async_functions_partials_and_callable_objects_are_tools():
    class Desk:
        def look(self, city: str) -> str:
            """Look up."""

        def __call__(self, city: str, *, days: int = 1) -> str:
            """Call."""

    async def fetch(city: str) -> str:
        """Fetch."""

    def scale(value: float, unit: str, factor: float = 1.0):
        """Scale."""

    bound = functools.partial(functools.partial(scale, 2.0), unit="m")
    tools = [tool_from(value) for value in (Desk().look, Desk(), fetch, bound)]
    assert [(tool.name, [*tool.parameters["properties"]]) for tool in tools] == [
        ("look", ["city"]),
        ("Desk", ["city", "days"]),
        ("fetch", ["city"]),
        ("scale", ["factor"]),
    ]
    assert tools[3].description == "Scale."


def test_a_decorated_function_shows_what_it_wraps():
    def logged(function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            return function(*args, **kwargs)

        return call

    @logged
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    assert [*tool_from(add).parameters["properties"]] == ["a", "b"]


class Odd:
    pass


def takes_odd(what: Odd):
    pass


def takes_many(*cities: str):
    pass


def takes_anything(**cities: str):
    pass


def takes_by_position(city: str, /):
    pass


def takes_unknown(what: "Nonesuch"):  # noqa: F821
    pass


class Shop:
    def buy(self, what: str):
        pass


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (takes_odd, "'takes_odd' takes 'what' of the type Odd, which has no JSON schema: use plain types"),
        (takes_many, r"'takes_many' takes \*cities: give every argument a name"),
        (takes_anything, r"'takes_anything' takes \*cities: give every argument a name"),
        (takes_by_position, "'takes_by_position' takes 'city' by position only"),
        (takes_unknown, "'takes_unknown' has a signature that cannot be read: name 'Nonesuch' is not defined"),
        (Shop.buy, r"'buy' takes 'self': give the method of an object, as in tools=\[thing.buy\]"),
        (lambda city: city, "a tool cannot be called '<lambda>': use def"),
    ],
)
def test_a_function_that_cannot_be_a_tool_is_refused(function, complaint):
    with pytest.raises(InvalidRequestError, match=complaint):
        asked(tools=[function])


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("weather", "Look.", SCHEMA)


@pytest.mark.parametrize(
    "value",
    [
        WEATHER,
        {"type": "function", "function": {"name": "weather", "description": "Look.", "parameters": SCHEMA}},
        {"type": "function", "name": "weather", "description": "Look.", "parameters": SCHEMA},
        {"name": "weather", "description": "Look.", "parameters": SCHEMA},
        {"name": "weather", "description": "Look.", "input_schema": SCHEMA},
    ],
)
def test_a_tool_may_be_a_struct_or_a_dict_with_a_json_schema(value):
    assert tool_from(value) == WEATHER


def test_a_json_schema_with_a_title_is_a_tool():
    schema = {"title": "weather", "description": "Look.", **SCHEMA}
    assert tool_from(schema) == Tool("weather", "Look.", schema)


def weather(city: str):
    pass


@pytest.mark.parametrize(
    ("tools", "complaint"),
    [
        (weather, r"tools is a list, as in tools=\[weather\]"),
        ({"name": "weather"}, "tools is a list"),
        ("weather", "tools is a list"),
        ([3], r"tools\[0\] must be a function, a dict or a Tool, not int"),
        ([{"name": "weather"}], r"tools\[0\] says no function: give it 'name' and 'parameters'"),
        ([SCHEMA], r"tools\[0\] says no function"),
        ([{"type": "function", "function": {}}], r"tools\[0\].function.name"),
        ([weather, WEATHER], "two tools are called 'weather'"),
    ],
)
def test_tools_that_say_nothing_clear_are_refused(tools, complaint):
    with pytest.raises(InvalidRequestError, match=complaint):
        asked(tools=tools)


@pytest.mark.parametrize(
    ("said_as", "choice"),
    [
        (None, None),
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ("weather", ToolChoice("tool", "weather")),
        (weather, ToolChoice("tool", "weather")),
        (ToolChoice("tool", "weather"), ToolChoice("tool", "weather")),
        ({"type": "function", "function": {"name": "weather"}}, ToolChoice("tool", "weather")),
    ],
)
def test_a_tool_may_be_chosen_in_many_words(said_as, choice):
    assert asked(tools=[weather], tool_choice=said_as).tool_choice == choice


@pytest.mark.parametrize(
    ("choice", "tools", "complaint"),
    [
        ("wether", [weather], "tool_choice names 'wether', and the tools are weather; or say auto, none or required"),
        ("required", [], "tool_choice asks for a tool, and there are none"),
        (weather, [], "tool_choice asks for a tool, and there are none"),
        ({"type": "weather"}, [weather], "tool_choice must be"),
        (3, [weather], "tool_choice must be"),
    ],
)
def test_a_choice_that_leads_nowhere_is_refused(choice, tools, complaint):
    with pytest.raises(InvalidRequestError, match=complaint):
        asked(tools=tools, tool_choice=choice)


# --- the form of an answer --------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Leg:
    city: str
    nights: int = 1


@dataclasses.dataclass
class Trip:
    legs: list[Leg]
    first: Leg | None = None


class TripStruct(msgspec.Struct):
    legs: list[Leg]
    first: Leg | None = None


class TripDict(TypedDict):
    legs: list[Leg]
    first: Leg | None


class LegModel(pydantic.BaseModel):
    city: str
    nights: int = 1


class TripModel(pydantic.BaseModel):
    legs: list[LegModel]
    first: LegModel | None = None


TRIP = '{"legs": [{"city": "Lyon", "nights": 2}], "first": null}'


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (Trip, Trip([Leg("Lyon", 2)])),
        (TripStruct, TripStruct([Leg("Lyon", 2)])),
        (TripDict, {"legs": [Leg("Lyon", 2)], "first": None}),
        (TripModel, TripModel(legs=[LegModel(city="Lyon", nights=2)])),
    ],
)
def test_a_class_is_a_strict_schema_and_reads_the_answer(kind, answer):
    form = form_from(kind)
    schema = form.format.schema
    assert (form.format.kind, form.format.name, form.format.strict) == ("schema", kind.__name__, True)
    assert schema["type"] == "object"
    assert_closed_through_and_through(schema)
    assert_references_lead_somewhere(schema)
    assert form.parse(TRIP) == answer


def assert_closed_through_and_through(schema):
    if isinstance(schema, list):
        for entry in schema:
            assert_closed_through_and_through(entry)
    elif isinstance(schema, dict):
        assert not schema.keys() & {"default", "oneOf", "discriminator"} or "properties" not in schema
        if schema.get("type") == "object":
            assert schema["additionalProperties"] is False
            assert schema["required"] == [*schema["properties"]]
        for entry in schema.values():
            assert_closed_through_and_through(entry)


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]


class Pet(pydantic.BaseModel):
    pet: Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]


class Node(msgspec.Struct):
    value: int
    children: list["Node"] = []
    default: str = "a property may be called so"


def test_unions_and_recursion_are_closed_too():
    pet, node = form_from(Pet), form_from(Node)
    for form in (pet, node):
        assert form.format.strict
        assert_closed_through_and_through(form.format.schema)
        assert_references_lead_somewhere(form.format.schema)
    assert pet.parse('{"pet": {"kind": "dog"}}').pet == Dog(kind="dog")
    assert "default" in node.format.schema["properties"]
    assert node.parse('{"value": 1, "children": [{"value": 2, "children": []}]}').children[0].value == 2


@pytest.mark.parametrize(
    ("kind", "text", "answer"),
    [
        (list[int], '{"answer": [1, 2]}', [1, 2]),
        (list[int], "[1, 2]", [1, 2]),  # a model that is not held to schemas
        (int, '{"answer": 3}', 3),
        (Literal["yes", "no"], '{"answer": "yes"}', "yes"),
        (Leg | None, '{"answer": {"city": "Lyon"}}', Leg("Lyon")),
        (list[LegModel], '{"answer": [{"city": "Lyon"}]}', [LegModel(city="Lyon")]),
        (pydantic.RootModel[list[int]], '{"answer": [1]}', pydantic.RootModel[list[int]]([1])),
    ],
)
def test_what_is_no_object_is_asked_for_inside_of_one(kind, text, answer):
    form = form_from(kind)
    assert form.format.schema["type"] == "object"
    assert [*form.format.schema["properties"]] == ["answer"]
    assert msgspec.json.encode(form.format.name)  # a name that APIs take
    assert form.format.name.replace("_", "a").replace("-", "a").isalnum()
    assert form.parse(text) == answer


@pytest.mark.parametrize("kind", [dict[str, int], dict, list, tuple[int, str]])
def test_what_strict_output_cannot_hold_is_asked_for_without_it(kind):
    assert form_from(kind).format.strict is None


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("json", ResponseFormat("json")),
        ({"type": "json_object"}, ResponseFormat("json")),
        ({"type": "text"}, ResponseFormat("text")),
        (SCHEMA, ResponseFormat("schema", SCHEMA, "answer")),
        ({"title": "A city!", **SCHEMA}, ResponseFormat("schema", {"title": "A city!", **SCHEMA}, "A_city")),
        (
            {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, "strict": False}},
            ResponseFormat("schema", SCHEMA, "city", strict=False),
        ),
        ({"name": "city", "schema": SCHEMA}, ResponseFormat("schema", SCHEMA, "city")),
        (ResponseFormat("schema", SCHEMA), ResponseFormat("schema", SCHEMA)),
    ],
)
def test_a_form_may_be_a_json_schema_or_openais_shape_and_reads_plain_json(value, form):
    read = form_from(value)
    assert read.format == form
    assert read.parse('{"city": "Lyon"}') == ('{"city": "Lyon"}' if form.kind == "text" else {"city": "Lyon"})


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (Odd, "Odd has no JSON schema: response_format takes a dataclass"),
        (Trip([]), r"an object of Trip has no JSON schema: .* \(the class itself, not an object of it\)"),
        (3, "an object of int has no JSON schema"),
        ("yaml", "'yaml' is no response_format: say json, or give a class or a JSON schema"),
        ({}, "the response_format is no JSON schema: it needs a 'type'"),
        ({"city": "string"}, "the response_format is no JSON schema"),
        ({"type": "json_schema"}, "response_format.type must be text, json_object or json_schema"),
    ],
)
def test_a_form_that_says_nothing_is_refused(value, complaint):
    with pytest.raises(InvalidRequestError, match=complaint) as caught:
        form_from(value)
    assert caught.value.param == "response_format"


async def answered(answer, response_format=Leg):
    client = AsyncClient(mock={"m": [answer]}, env={})
    return await client.complete("where?", "mock/m", response_format=response_format)


async def test_the_answer_is_read_into_the_callers_type():
    reply = await answered(MockAnswer(text='{"city": "Lyon", "nights": 3}'))
    assert reply.parsed == Leg("Lyon", 3)


async def test_a_fenced_answer_is_read_too():
    assert (await answered(MockAnswer(text='```json\n{"city": "Lyon"}\n```'))).parsed == Leg("Lyon")


async def test_a_stream_is_read_at_its_end():
    client = AsyncClient(mock={"m": [MockAnswer(text='{"city": "Le Mans"}')]}, env={})
    async with client.stream("where?", "mock/m", response_format=Leg) as stream:
        assert (await stream.final()).parsed == Leg("Le Mans")


async def test_a_call_of_a_tool_has_nothing_to_read():
    reply = await answered(MockAnswer(tool="weather", arguments={"city": "Lyon"}))
    assert (reply.parsed, reply.tool_calls[0].name) == (None, "weather")


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (MockAnswer(text="Lyon, I think."), "does not fit the response_format"),
        (MockAnswer(text='{"town": "Lyon"}'), "does not fit the response_format: .*missing required field `city`"),
        (MockAnswer(text='{"city": "Ly', finish="length"), "it was cut by max_tokens"),
        (MockAnswer(text='{"city', finish="content_filter"), "the provider withheld the rest"),
    ],
)
async def test_an_answer_that_does_not_fit_says_why(answer, complaint):
    with pytest.raises(ResponseParseError, match=complaint) as caught:
        await answered(answer)
    assert caught.value.body is not None


# --- settings ---------------------------------------------------------------------------------------------------------


def test_settings_in_openais_words_are_understood():
    settings = asked(stop="END", max_completion_tokens=5, reasoning_effort="low", temperature=0, seed=None).settings
    assert (settings.stop, settings.max_tokens, settings.temperature, settings.seed) == (("END",), 5, 0.0, None)
    assert settings.reasoning.effort == "low"
    assert asked(reasoning_effort="none").settings.reasoning.off
    assert asked(stop=["a", "b"]).settings.stop == ("a", "b")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"temprature": 1}, "unknown setting 'temprature'; there are .*Did you mean 'temperature'?"),
        ({"timout": 1}, "Did you mean 'timeout'?"),
        ({"foo_bar": None}, "unknown setting 'foo_bar'; there are .*goes into extra_body"),
        ({"stream": True}, r"use client.stream\(…\) instead"),
        ({"temperature": "hot"}, "temperature: expected `float .*got `str`"),
        ({"temperature": True}, "temperature: expected"),
        ({"max_tokens": 1.5}, "max_tokens: expected"),
        ({"stop": [1]}, r"stop\[.*\]?: expected `str`"),
        ({"logit_bias": {"50256": "low"}}, "logit_bias.*expected `float`"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_its_name(options, complaint):
    with pytest.raises(InvalidRequestError, match=complaint):
        asked(**options)


def test_a_model_is_named_in_text():
    with pytest.raises(InvalidRequestError, match="model must be text, as in openai/gpt-4o, not dict"):
        request_from({}, "hi", settings={})


@pytest.mark.parametrize("texts", [[], None, 3, b"bytes", ["a", 3], [["a"]]])
def test_only_texts_are_embedded(texts):
    with pytest.raises(InvalidRequestError, match="embed takes a text or a list of texts, at least one"):
        embedding_request_from("m", texts, None)


@pytest.mark.parametrize("dimensions", [0, -1, 1.5, "8"])
def test_dimensions_are_a_whole_number_above_zero(dimensions):
    with pytest.raises(InvalidRequestError, match="dimensions must be a whole number from 1 up"):
        embedding_request_from("m", "text", dimensions)


async def test_bad_input_never_reaches_a_provider():
    clock = FakeClock()
    mock = MockTransport(clock)
    client = AsyncClient(model="mock/echo", runtime=Runtime(clock=clock, transports={"mock": mock}), env={})
    for options in ({"messages": []}, {"messages": "hi", "tools": [takes_odd]}, {"messages": "hi", "stopp": "x"}):
        with pytest.raises(InvalidRequestError):
            await client.complete(**options)
    assert mock.asked == []
    assert (await client.complete("hi")).text == "hi"
    assert len(mock.asked) == 1
