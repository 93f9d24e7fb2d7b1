"""Retelling: a whole reply as events, which are the reply again when they are gathered."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from trunkline.vocabulary.events import Ended, Started
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import Audio, Citation, File, Image, Opaque, Refusal, Source, Text, Thinking, ToolCall
from trunkline.vocabulary.replies import Accumulator, Choice, Reply
from trunkline.vocabulary.retelling import events_of
from trunkline.vocabulary.usage import Usage

WORDS = st.text(min_size=1, max_size=8)
SOME = st.none() | WORDS
EXTRA = st.dictionaries(st.sampled_from(["a", "b", "~note"]), st.integers() | WORDS, max_size=2)
CITATIONS = st.lists(st.builds(Citation, dialect=WORDS, body=EXTRA, url=SOME), max_size=2).map(tuple)
SIGNED = st.none() | st.tuples(WORDS, WORDS)
SOURCE = st.builds(Source, url=WORDS)


def thinking(text, signed, extra):
    signature, dialect = signed or (None, None)
    return Thinking(text, signature, dialect=dialect, extra=extra)


def calling(identity, name, arguments, signed, extra):
    signature, dialect = signed or (None, None)
    return ToolCall(identity, name, arguments, signature, dialect, extra=extra)


PARTS = st.one_of(
    st.builds(Text, st.text(max_size=8), CITATIONS, extra=EXTRA),
    st.builds(Refusal, WORDS, extra=EXTRA),
    st.builds(thinking, st.text(max_size=8), SIGNED, EXTRA),
    st.builds(Thinking, redacted=WORDS, dialect=WORDS),
    st.builds(calling, WORDS, WORDS, WORDS, SIGNED, EXTRA),
    st.builds(Image, SOURCE, extra=EXTRA),
    st.builds(Audio, SOURCE, WORDS),
    st.builds(File, SOURCE, WORDS),
    st.builds(Opaque, WORDS, EXTRA),
)
LOGPROBS = st.none() | st.fixed_dictionaries({"content": st.lists(st.integers(), max_size=3)})


def choice(at, parts, finish, word, sequence, logprobs, extra, said):
    kept = logprobs if any(isinstance(part, Text | Refusal) for part in parts) else None
    message = Message("assistant", tuple(parts), extra=said, dialect="d")
    return Choice(message, finish=finish, index=at, word=word, stop_sequence=sequence, logprobs=kept, extra=extra)


CHOICES = st.lists(
    st.tuples(
        st.lists(PARTS, max_size=5),
        st.sampled_from(["stop", "length", "tool_calls", "content_filter"]),
        SOME,
        SOME,
        LOGPROBS,
        EXTRA,
        EXTRA,
    ),
    min_size=1,
    max_size=3,
).map(lambda made: tuple(choice(at, *one) for at, one in enumerate(made)))
USAGES = st.none() | st.builds(
    Usage,
    input=st.integers(0, 99),
    output=st.integers(0, 99),
    cache_read=st.integers(0, 9),
    reasoning=st.integers(0, 9),
)
REPLIES = st.builds(
    Reply,
    id=WORDS,
    model=WORDS,
    created=st.integers(1, 2**31),
    choices=CHOICES,
    usage=USAGES,
    service_tier=SOME,
    extra=EXTRA,
    dialect=st.just("d"),
)


def gathered(events):
    whole = Accumulator()
    for event in events:
        whole.add([event])
    return whole.reply()


@settings(max_examples=300, deadline=None)
@given(REPLIES)
def test_what_is_retold_is_the_reply_again(reply):
    assert gathered(events_of(reply)) == reply


@settings(deadline=None)
@given(REPLIES)
def test_a_telling_begins_and_ends_once(reply):
    events = events_of(reply)
    assert [type(event) for event in events].count(Started) == 1
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Ended)
    assert [type(event) for event in events].count(Ended) == 1


def test_a_reply_without_an_end_is_told_as_stopped():
    (told,) = gathered(events_of(Reply(choices=(Choice(Message("assistant", (Text("Hi"),))),)))).choices
    assert (told.finish, told.message.text) == ("stop", "Hi")


def test_log_probabilities_are_told_once():
    both = (Text("a"), Text("b"))
    reply = Reply(choices=(Choice(Message("assistant", both), finish="stop", logprobs={"content": [1, 2]}),))
    assert gathered(events_of(reply)).choices[0].logprobs == {"content": [1, 2]}
    assert replace(reply.choices[0], logprobs=None) == replace(gathered(events_of(reply)).choices[0], logprobs=None)
