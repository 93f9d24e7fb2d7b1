"""Record and replay: what comes back from a cassette is what came from the provider, byte for byte; no key is ever in
the file; and a request that was not recorded is told in which fields it differs.
"""

import asyncio
import base64
import threading

import msgspec
import pytest

from trunkline import (
    APIConnectionError,
    APITimeoutError,
    AsyncClient,
    Client,
    ConfigurationError,
    CutOff,
    RateLimitError,
)
from trunkline.runtime import Runtime
from trunkline.testing import (
    ChaosUpstream,
    FakeClock,
    FakeUpstream,
    NotRecorded,
    Player,
    Recorder,
    Told,
    cassette,
    reply,
    stream,
)
from trunkline.testing.scrubbing import Scrubber, shown_url
from trunkline.vocabulary.protocols import Sending
from trunkline.vocabulary.secret import Secret

pytestmark = pytest.mark.anyio

URL = "https://api.example.com/v1/chat/completions"
JSON = {"content-type": "application/json"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cassettes" / "x.jsonl"


def asking(body=None, url=URL, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Sending("POST", url, {**JSON, **named}, body if isinstance(body, bytes) else msgspec.json.encode(body or {}))


class Said:
    """A transport that answers as told: pieces of a body, or an error, each after some seconds."""

    def __init__(self, *pieces, status=200, headers=None, clock=None, seconds=0.0):
        self.pieces = pieces
        self.status = status
        self.headers = {"content-type": "application/json", **(headers or {})}
        self.clock = clock
        self.seconds = seconds
        self.closed = False
        self.released = 0

    async def send(self, request):
        await self.wait()
        if self.pieces and isinstance(self.pieces[0], Exception) and self.status is None:
            raise self.pieces[0]
        self.coming = iter(self.pieces)
        return self

    async def wait(self):
        if self.clock is not None:
            await self.clock.sleep(self.seconds)

    async def more(self):
        await self.wait()
        piece = next(self.coming, None)
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def read(self):
        pieces = []
        while (piece := await self.more()) is not None:
            pieces.append(piece)
        return b"".join(pieces)

    def release(self):
        self.released += 1

    async def close(self):
        self.closed = True


async def record(path, said, *requests, streamed=True, **how):
    """Send requests through a recorder and read their answers: what came, and how it ended."""
    recorder = Recorder(path, through=said, **how)
    return [await read(recorder, request, streamed=streamed) for request in requests]


async def read(transport, request, *, streamed=True):
    pieces, receiving = [], None
    try:
        receiving = await transport.send(request)
        if not streamed:
            return receiving.status, [await receiving.read()], None
        while (piece := await receiving.more()) is not None:
            pieces.append(piece)
    except (APIConnectionError, APITimeoutError) as error:
        return None, pieces, (type(error), error.message)
    finally:
        if receiving is not None:
            receiving.release()
    return receiving.status, pieces, None


# --- a client's calls -------------------------------------------------------------------------------------------------


def configured(url):
    targets = {
        name: {"model": model, "base_url": url + path, "api_key": "sk-very-secret-key"}
        for name, model, path in (
            ("chat", "groq/m", "/v1"),
            ("responses", "openai/m", "/v1"),
            ("messages", "anthropic/m", "/v1"),
            ("gemini", "google/m", "/v1beta"),
        )
    }
    return {"targets": targets, "retries": 0}


async def converse(url, transport):
    """Every way to ask, through a transport."""
    runtime = Runtime(transports={"http": transport})
    said = []
    async with AsyncClient(configured(url), env={}, runtime=runtime) as client:
        for target in configured(url)["targets"]:
            said.append(await client.complete("Hi", target))
            async with client.stream("Hi", target) as events:
                said.append([event async for event in events])
        said.append(await client.embed(["a", "b"], "responses"))
        with pytest.raises(RateLimitError) as refused:
            await client.complete("Hi", "chat", extra_headers={"x-chaos": "429-seconds=3"}, temperature=0.5)
        said.append((refused.value.message, refused.value.retry_after))
    for reply_ in said:
        if hasattr(reply_, "seconds"):
            reply_.seconds = reply_.route = None  # our own notes of the call, with its id
    return said


async def test_a_client_cannot_tell_a_recording_from_the_provider(path):
    async with ChaosUpstream() as upstream:
        url = upstream.url
        recorded = await converse(url, cassette(path))
    replayed = await converse(url, cassette(path))  # nobody is there any more
    assert replayed == recorded
    assert len(path.read_text().splitlines()) == 10
    assert "very-secret" not in path.read_text()


def test_a_synchronous_client_too(path):
    chat = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}
    with FakeUpstream([reply(200, chat)]) as upstream:
        for _ in range(2):
            runtime = Runtime(transports={"http": cassette(path)})
            with Client(configured(upstream.url), env={}, runtime=runtime) as client:
                assert client.complete("Hi", "chat").text == "hi"
        assert len(upstream.served) == 1


async def test_a_recording_runs_behind_other_keys(path):
    await record(path, Said(b"{}"), asking({"a": 1}, authorization="Bearer sk-one-one-one"))
    status, _, _ = await read(Player(path), asking({"a": 1}, authorization="Bearer another-key"))
    assert status == 200


# --- modes ------------------------------------------------------------------------------------------------------------


async def test_auto_records_where_there_is_no_file_and_replays_where_there_is(path):
    assert isinstance(cassette(path), Recorder)
    await read(cassette(path, through=Said(b"one")), asking())
    assert isinstance(cassette(path), Player)
    assert isinstance(cassette(str(path), "replay"), Player)
    await read(cassette(path, "record", through=Said(b"two")), asking())
    assert (await read(cassette(path), asking()))[1] == [b"two"]


def test_recording_again_keeps_the_old_file_until_something_is_recorded(path):
    path.parent.mkdir()
    path.write_bytes(b"")
    path.write_text("old")
    cassette(path, "record")
    assert path.read_text() == "old"


def test_mistakes_are_told(path):
    with pytest.raises(ConfigurationError, match="record it with mode='record'"):
        cassette(path, "replay")
    with pytest.raises(ConfigurationError, match="auto, record or replay, not 'play'"):
        cassette(path, "play")
    path.parent.mkdir()
    path.write_text('{"method":"POST","url":"x"}\n{"nonsense"\n')
    with pytest.raises(ConfigurationError, match=r"x\.jsonl:2: "):
        Player(path)


async def test_a_recorder_closes_what_it_sends_through(path):
    said = Said(b"")
    await Recorder(path, through=said).close()
    assert said.closed
    await record(path, said, asking())
    await Player(path).close()


# --- which recording --------------------------------------------------------------------------------------------------


async def test_the_order_of_keys_does_not_matter_and_that_of_values_does(path):
    await record(path, Said(b"{}"), asking(b'{"a": 1, "b": {"c": 2, "d": [1, 2]}}'))
    assert (await read(Player(path), asking(b'{"b":{"d":[1,2],"c":2},"a":1}')))[0] == 200
    with pytest.raises(NotRecorded):
        await read(Player(path), asking(b'{"b":{"d":[2,1],"c":2},"a":1}'))


async def test_equal_requests_are_answered_in_the_order_in_which_they_were_recorded(path):
    recorder = Recorder(path, through=Said(b"?"))
    for words in (b"one", b"two", b"three"):
        recorder._through = Said(words)
        await read(recorder, asking({"a": 1}))
        recorder._through = Said(b"other " + words)
        await read(recorder, asking({"a": 2}))
    player = Player(path)
    assert [(await read(player, asking({"a": 1})))[1] for _ in range(2)] == [[b"one"], [b"two"]]
    assert (await read(player, asking({"a": 2})))[1] == [b"other one"]
    assert (await read(player, asking({"a": 1})))[1] == [b"three"]
    with pytest.raises(NotRecorded, match="it was recorded 3 times, and is asked once more"):
        await read(player, asking({"a": 1}))


TURN = {"model": "m", "messages": [{"role": "user", "content": "a private question"}], "n": 1}


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        ({**TURN, "messages": [{"role": "user", "content": "another"}]}, r"differs in messages\[0\]\.content;"),
        ({**TURN, "top_p": 0.5}, r"differs in top_p \(only in the request\);"),
        ({"model": "m", "messages": TURN["messages"]}, r"differs in n \(only in the recording\);"),
        ({**TURN, "messages": TURN["messages"] * 2}, r"messages \(2 in the request, 1 in the recording\)"),
        ({"model": "x", "messages": [], "n": 2, "o": 1, "p": 2}, r"model, messages \(.*\), n and 2 more;"),
        (b"no json", "differs in the body;"),
    ],
)
async def test_what_was_not_recorded_is_told_with_the_fields_that_differ(path, request_, complaint):
    recorded = [asking({**TURN, "model": f"far {at}", "stream": True}) for at in range(2)]
    await record(path, Said(b"{}"), *recorded, asking(TURN))
    with pytest.raises(NotRecorded, match=complaint) as missed:
        await read(Player(path), asking(request_))
    assert "question" not in str(missed.value)
    assert str(path) in str(missed.value)
    assert not missed.value.transient


async def test_another_address_is_told_with_the_nearest(path):
    await record(
        path, Said(b"{}"), asking(url="https://a.example/v1/x"), asking(url="https://b.example/v1/y?key=k-1234567")
    )
    with pytest.raises(NotRecorded, match=r"POST https://b\.example/v1/y\?key=\[key\];"):
        await read(Player(path), asking(url="https://b.example/v1/z?key=k-7654321"))
    path.write_text("")
    with pytest.raises(NotRecorded, match="the cassette is empty"):
        await read(Player(path), asking())


# --- keys -------------------------------------------------------------------------------------------------------------

KEY = "wxyz-0123456789-unlike-any"
LOOKS = {
    "openai": "sk-proj-AbCdEfGhIjKlMnOp0123",
    "short": "sk-test",
    "google": "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "groq": "gsk_0123456789abcdefghij",
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "token": "ya29.a0AfH6SMBx0123456789",
}


@pytest.mark.parametrize(
    "name",
    ["authorization", "Authorization", "x-api-key", "api-key", "x-goog-api-key", "x-amz-security-token", "cookie"],
)
async def test_a_key_in_a_header_is_nowhere_in_the_file(path, name):
    value = {"authorization": f"Bearer {KEY}", "Authorization": f"Basic {KEY}", "cookie": f"a=b; s={KEY}"}.get(
        name, KEY
    )
    echo = [b'{"you said": "', KEY[:9].encode(), KEY[9:].encode(), b'", "and": "' + KEY.encode() + b'"}']
    headers = {"x-request-id": f"for {KEY}", "set-cookie": KEY, "date": "today"}
    said = Said(*echo, CutOff(f"broke after {KEY}"), headers=headers)
    request = Sending("POST", URL, {**JSON, name: value}, msgspec.json.encode({"text": f"my key is {KEY}"}))
    (whole,) = await record(path, said, request)
    assert whole[1] == echo
    text = path.read_text()
    assert KEY not in text
    assert KEY[:9] not in text
    assert KEY[9:] not in text
    _, pieces, broken = await read(Player(path), request)
    assert b"".join(pieces) == b'{"you said": "[key]", "and": "[key]"}'
    assert broken == (CutOff, "broke after [key]")


@pytest.mark.parametrize("parameter", ["key", "api_key", "access_token", "sig", "X-Amz-Signature"])
async def test_a_key_in_an_address_is_nowhere_in_the_file(path, parameter):
    said = Said(f"you came to ?{parameter}=a%2Fb{KEY}, with a/b{KEY}".encode())
    request = asking(url=f"{URL}?alt=sse&{parameter}=a%2Fb{KEY}&b=c")
    await record(path, said, request)
    assert KEY not in path.read_text()
    assert "alt=sse" in path.read_text()
    assert (await read(Player(path), request))[0] == 200


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS.keys())
async def test_what_looks_like_a_key_is_nowhere_in_the_file(path, look):
    body = {"messages": [{"content": f"Is {look} a good key?"}]}
    await record(path, Said(f'"{look}, yes: {look}"'.encode()), asking(body, url=f"https://u:{KEY}@h.example/{look}"))
    text = path.read_text()
    assert look not in text
    assert KEY not in text
    assert "Is [key] a good key?" in text


async def test_fields_that_hold_keys_are_emptied(path):
    said = Said(b'{"access_token": "abc-123-def", "max_tokens": "four"}', b" Authorization: Bearer abc-123-dei\\n")
    await record(path, said, asking({"api_key": "lmno-456", "max_tokens": 4}))
    text = path.read_text()
    assert not [key for key in ("abc-123-def", "abc-123-dei", "lmno-456") if key in text]
    assert "four" in text


async def test_keys_that_are_told_are_nowhere_in_the_file(path):
    secrets = [Secret("in a body only"), "another one"]
    said = Said(b"in a body ", b"only, another%20one")
    await record(path, said, asking({"a": "another one"}), secrets=secrets)
    assert "only" not in path.read_text()
    assert "another" not in path.read_text()
    assert (await read(Player(path, secrets=secrets), asking({"a": "another one"})))[1] == [b"[key]", b", [key]"]


async def test_a_key_that_is_no_key_takes_no_words_out_of_texts(path):
    await record(path, Said(b"none of your business"), asking({"a": "none"}, authorization="Bearer none"))
    assert "none of your business" in path.read_text()


async def test_only_known_headers_are_kept(path):
    headers = {
        "x-request-id": "r1",
        "x-ratelimit-remaining-requests": "9",
        "retry-after": "3",
        "server": "x",
        "via": "y",
    }
    await record(path, Said(b"{}", headers=headers), asking(anthropic_version="1", x_team="y", accept="z"))
    line = msgspec.json.decode(path.read_bytes())
    assert line["headers"] == {"content-type": "application/json", "anthropic-version": "1", "accept": "z"}
    assert line["answered"].keys() == {"content-type", "x-request-id", "x-ratelimit-remaining-requests", "retry-after"}
    receiving = await Player(path).send(asking())
    assert receiving.headers["retry-after"] == "3"


def test_a_key_is_taken_out_of_pieces_however_they_are_cut():
    scrubber = Scrubber([KEY])
    body = f"first {KEY} then {KEY}{KEY}!".encode()
    for first in range(len(body) + 1):
        for second in range(first, len(body) + 1, 5):
            pieces = [body[:first], body[first:second], body[second:]]
            assert b"".join(scrubber.pieces(pieces)) == b"first [key] then [key][key]!"


def test_keys_that_begin_alike_or_lie_over_one_another_leave_nothing_behind():
    scrubber = Scrubber(["abcdef", "abcdefgh", "defghijk", KEY[4:]])
    assert scrubber.text("abcdefgh abcdef") == "[key] [key]"
    assert scrubber.text(f"Bearer {KEY}, abcdefghijk") == "Bearer [key], [key]ijk"


def test_addresses_are_shown_without_what_they_hide():
    assert (
        shown_url("https://me:pass@h.example/a?key=1&b=2&Token=3#x")
        == "https://[key]@h.example/a?key=[key]&b=2&Token=[key]#x"
    )
    assert shown_url("https://h.example/v1?api-version=1&alt=sse") == "https://h.example/v1?api-version=1&alt=sse"


# --- bytes, cuts, times -----------------------------------------------------------------------------------------------


async def test_bytes_that_are_no_text_come_back_as_they_were(path):
    pieces = ["“".encode()[:1], "“".encode()[1:], bytes(range(256)), "plain \u2028 text\n\r".encode()]
    request = asking(b"\xff\x00 no text")
    await record(path, Said(*pieces), request)
    assert (await read(Player(path), request))[1] == pieces
    line = msgspec.json.decode(path.read_bytes())
    assert base64.b64decode(line["pieces"][2][1]["base64"]) == pieces[2]
    assert line["pieces"][3][1] == pieces[3].decode()


async def test_a_whole_body_comes_back_whole(path):
    (first,) = await record(path, Said(b'{"a":', b"1}"), asking(), streamed=False)
    assert first == (200, [b'{"a":1}'], None)
    assert await read(Player(path), asking(), streamed=False) == first
    assert await read(Player(path), asking()) == first


async def test_a_stream_that_was_cut_anywhere_is_cut_there_again(path):
    body = {"model": "m", "max_tokens": 5, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    async with ChaosUpstream(text="“…”", events=2) as upstream:
        url = f"{upstream.url}/v1/messages"
        recorder = Recorder(path)
        whole = b"".join((await read(recorder, asking(body, url=url)))[1])
        requests = [asking({**body, "top_k": at + 1}, url=url, x_chaos=f"cut={at}") for at in range(0, len(whole), 11)]
        recorded = [await read(recorder, request) for request in requests]
        await recorder.close()
    player = Player(path)
    for at, request, first in zip(range(0, len(whole), 11), requests, recorded, strict=True):
        again = await read(player, request)
        assert again == first
        assert len(b"".join(again[1])) == at
        assert again[2][0] is CutOff


@pytest.mark.parametrize("fault", ["reset", "unheard", "reset-head"])
async def test_a_connection_that_broke_breaks_again(path, fault):
    async with ChaosUpstream([fault]) as upstream:
        request = asking({"model": "m", "input": "Hi"}, url=f"{upstream.url}/v1/responses")
        recorder = Recorder(path)
        first = await read(recorder, request)
        await recorder.close()
    assert issubclass(first[2][0], APIConnectionError)
    assert await read(Player(path), request) == first


async def test_a_timeout_before_the_head_is_recorded(path):
    await record(path, Said(APITimeoutError("no connection in time"), status=None), asking())
    assert await read(Player(path), asking()) == (None, [], (APITimeoutError, "no connection in time"))


async def test_who_left_while_recording_is_told_when_more_is_read(path):
    recorder = Recorder(path, through=Said(b"one", b"two"))
    receiving = await recorder.send(asking())
    await receiving.more()
    receiving.release()
    receiving.release()
    assert recorder._through.released == 2
    assert len(path.read_text().splitlines()) == 1
    player = await Player(path).send(asking())
    assert await player.more() == b"one"
    player.release()
    with pytest.raises(CutOff, match="whoever made it left"):
        await player.more()


async def test_who_leaves_before_the_head_is_recorded_as_gone(path):
    async with FakeUpstream([Told(delay=30)]) as upstream:
        recorder = Recorder(path)
        asked = asyncio.create_task(recorder.send(asking(url=upstream.url + "/")))
        while not upstream.served:
            await asyncio.sleep(0.001)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await recorder.close()
        line = msgspec.json.decode(path.read_bytes())
        assert (line["left"], line.get("status")) == (True, None)
        with pytest.raises(CutOff, match="whoever made it left"):
            await Player(path).send(asking(url=upstream.url + "/"))


async def test_times_are_kept_and_replayed_on_demand(path):
    clock = FakeClock()
    said = Said(b"one", b"two", CutOff("broke"), clock=clock, seconds=2.0)
    await record(path, said, asking(), clock=clock)
    line = msgspec.json.decode(path.read_bytes())
    assert (line["seconds"], [piece[0] for piece in line["pieces"]]) == (2.0, [4.0, 6.0])
    assert line["broken"]["seconds"] == 8.0
    for speed, slept in ((0, []), (1, [2.0, 2.0, 2.0, 2.0]), (4, [0.5, 0.5, 0.5, 0.5])):
        clock = FakeClock()
        await read(Player(path, speed=speed, clock=clock), asking())
        assert clock.slept == slept


async def test_a_slow_reader_makes_a_replay_no_slower(path):
    clock = FakeClock()
    await record(path, Said(b"one", b"two", clock=clock, seconds=2.0), asking(), clock=clock)
    clock = FakeClock()
    receiving = await Player(path, speed=1, clock=clock).send(asking())
    clock.advance(100)
    assert await receiving.read() == b"onetwo"
    assert clock.slept == [2.0]


def test_many_threads_may_share_a_cassette(path):
    async def some(transport, at):
        for n in range(10):
            assert (await read(transport, asking({"at": at, "n": n})))[0] == 200

    def all_of(transport):
        failed = []

        def run(at):
            try:
                asyncio.run(some(transport, at))
            except Exception as error:  # noqa: BLE001
                failed.append(error)

        threads = [threading.Thread(target=run, args=(at,)) for at in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert not failed

    class Each:
        async def send(self, request):
            return await Said(request.body).send(request)

    all_of(Recorder(path, through=Each()))
    assert len(path.read_text().splitlines()) == 80
    all_of(Player(path))


async def test_a_stream_is_recorded_in_its_pieces(path):
    async with FakeUpstream([stream({"a": 1}, {"b": 2}, gap=0.01)]) as upstream:
        recorder = Recorder(path)
        await read(recorder, asking(url=upstream.url))
        await recorder.close()
    line = msgspec.json.decode(path.read_bytes())
    times = [seconds for seconds, _ in line["pieces"]]
    assert [piece[1] for piece in line["pieces"]] == ['data: {"a":1}\n\n', 'data: {"b":2}\n\n', "data: [DONE]\n\n"]
    assert times == sorted(times)
    assert times[-1] - times[0] > 0.015
