"""How often the guess of `policies/complexity.py` is right: on requests of our own making, labelled by hand.

    python tests/policies/complexity_score.py

The labels say what a person would send where: `simple` is what a small model does as well as a large one (facts, short
translations, labels, greetings), `reasoning` needs several steps of thought (proofs, sums in words, faults in code,
plans under constraints), `vision` has a picture, `default` is the rest (texts, longer code, tools). The signs that the
rule looks for were chosen with `KNOWN` in view. `UNSEEN` was written when they stood, and only one thing was changed
after it was scored: how long a simple question may be, because most mistakes sent a question too low. So its score is
the one to believe.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from msgspec import Struct
from simulations.world import printed

from trunkline.policies.complexity import KINDS, classified
from trunkline.vocabulary.messages import Message, said
from trunkline.vocabulary.parts import Image, Source
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.tools import Tool

PICTURE = Image(Source(url="https://example.com/picture.png"))
WEATHER = Tool("weather", "The weather of a place.")
ARTICLE = (
    "The town council met on Tuesday to talk about the old bridge. Repairs would take two years and the road would be "
    "closed for most of them; a new bridge would take four, but traffic could go on. Shopkeepers on the east side fear "
    "for their trade, while those who live on the west side complain of the noise of lorries at night. "
)

Labelled = tuple[str, str | Request]


def pictured(text: str) -> Request:
    return Request(model="m", messages=(said("user", text, PICTURE),))


def with_tool(text: str) -> Request:
    return Request(model="m", messages=(said("user", text),), tools=(WEATHER,))


def after(*turns: str) -> Request:
    """A conversation, the caller first."""
    roles = ("user", "assistant")
    messages: list[Message] = [said(roles[at % 2], text) for at, text in enumerate(turns)]  # type: ignore[arg-type]
    return Request(model="m", messages=tuple(messages))


KNOWN: Sequence[Labelled] = (
    ("simple", "What is the capital of France?"),
    ("simple", "Hi there!"),
    ("simple", "Translate 'good morning' into Spanish."),
    ("simple", "Is this review positive or negative? 'The food was cold and the waiter rude.'"),
    ("simple", "Who wrote Don Quixote?"),
    ("simple", "Correct the spelling: 'I recieved you're letter yesterday.'"),
    ("simple", "How do you say thank you in Japanese?"),
    ("simple", "What does HTTP stand for?"),
    ("simple", "Extract the date from: 'Let us meet on the 4th of May at noon.'"),
    ("simple", "What year did the Berlin Wall fall?"),
    ("simple", "Give me a synonym for 'happy'."),
    ("simple", "Is 17 a prime number?"),
    ("simple", "Convert 10 miles to kilometres."),
    ("simple", "What is the time difference between London and Tokyo?"),
    ("simple", "Return only the email address in this text: write to anna@example.com, please."),
    ("simple", "What's the plural of mouse?"),
    ("simple", "What day of the week comes after Thursday?"),
    ("simple", "Was ist die Hauptstadt von Österreich?"),
    ("simple", after("Tell me a joke.", "Why did the chicken cross the road?", "Thanks, another one!")),
    ("reasoning", "Prove that the sum of two odd numbers is even."),
    ("reasoning", "A train leaves at 9:00 at 80 km/h, another at 10:00 at 120 km/h. When does the second catch up?"),
    ("reasoning", "Find the bug:\n```python\ndef mean(xs):\n    return sum(xs) / len(x)\n```"),
    ("reasoning", "What is the time complexity of merge sort, and why?"),
    ("reasoning", "Design a database schema for a library with loans, reservations and fines."),
    ("reasoning", "Solve 3x + 7 = 2x - 5 and then x^2 - 4 = 0."),
    ("reasoning", "Compare and contrast optimistic and pessimistic locking. When would you choose which?"),
    ("reasoning", "How many ways are there to seat 5 people at a round table if two refuse to sit together?"),
    ("reasoning", "Our service returns 502 under load, but only for requests above 1 MB. What is the root cause?"),
    ("reasoning", "Plan a four-day conference for 200 people with three rooms, where no speaker talks twice a day."),
    ("reasoning", "Refactor this class so that it can be tested without a network: class Fetcher: ..."),
    ("reasoning", "What are the trade-offs between a monolith and microservices for a team of four?"),
    ("reasoning", "Derive the formula for the area of a circle."),
    ("reasoning", "If all bloops are razzies and some razzies are lazzies, must some bloops be lazzies?"),
    ("reasoning", "Evaluate the integral of x * sin(x) from 0 to pi."),
    ("reasoning", "Why does this query scan the whole table? SELECT * FROM users WHERE lower(name) = 'ann'"),
    ("reasoning", "Think step by step: which is heavier, three boxes of 4 kg or two of 5.5 kg?"),
    ("reasoning", "Optimise this loop, it is quadratic: for a in xs: for b in xs: if a == b: n += 1;"),
    ("reasoning", "Analyse the argument of this essay and say where it contradicts itself: " + ARTICLE),
    ("vision", pictured("What is in this picture?")),
    ("vision", pictured("Read the total from this receipt.")),
    ("vision", pictured("Prove that this drawing is wrong.")),
    (
        "default",
        (
            "Write a friendly email to my landlord who still has not repaired the heating, and ask for a date. I have "
            "written twice already, on the second and on the ninth of this month, and would like to stay polite but "
            "firm. Mention that I shall reduce the rent from next month on if nothing happens, that I am at home in "
            "the evenings after six, and that a neighbour can open the door by day. Sign it with Maria Lopez, flat 12."
        ),
    ),
    ("default", "Summarise this article in two sentences: " + ARTICLE * 2),
    ("default", "Write an article on the history of tea. " + "Say something of each century and each country. " * 12),
    ("default", with_tool("What is the weather in Oslo?")),
    ("default", with_tool("Should I take an umbrella to Bergen tomorrow?")),
    ("default", "Rewrite this for children of eight: " + ARTICLE * 2),
    ("default", "Turn these notes into minutes. " + ARTICLE * 15),
    ("simple", "What colour do you get when you mix blue and yellow?"),
    ("simple", "Hello, are you there?"),
    ("simple", "Which ocean lies between Africa and Australia?"),
    ("simple", "Classify this ticket as billing, technical or other: 'I cannot log in since this morning.'"),
    ("simple", "What's the French word for butterfly?"),
    ("simple", "Make this title case: 'the lord of the rings'"),
    ("simple", "Who is the author of Pride and Prejudice?"),
    ("simple", "Combien de jours y a-t-il en février ?"),
    ("simple", "List the planets of the solar system."),
    ("simple", "Is a tomato a fruit or a vegetable?"),
    ("simple", "Give me the chemical symbol for gold."),
    ("simple", "Reply with yes or no: is the sender angry? 'Where is my parcel?!'"),
    ("simple", "What is 7 times 8?"),
    ("simple", "Shorten: 'We are pleased to inform you that your application was successful.'"),
    ("simple", "What is the boiling point of water in Fahrenheit?"),
    ("simple", "Name three fruits that begin with a."),
    ("simple", "Detect the language: 'Dobrý den, jak se máte?'"),
    ("simple", "Who plans the city's bus routes?"),
    ("simple", "What does the word 'strategy' mean?"),
    ("simple", "Put these into alphabetical order: pear, fig, apple."),
    ("simple", "How tall is Mount Everest?"),
    ("simple", after("What is JSON?", "A text format for values.", "And YAML?")),
    ("simple", "Give me the ISO code of Switzerland's currency."),
    ("reasoning", "I have a 3-litre and a 5-litre jug. How do I measure exactly 4 litres?"),
    ("reasoning", "Show that there is no largest prime."),
    ("reasoning", "Alice is twice as old as Bob was when Alice was as old as Bob is now. Alice is 24. How old is Bob?"),
    ("reasoning", "My thread pool hangs when a task submits another task and waits for it. What is going on?"),
    (
        "reasoning",
        "Which sorting method is best for a nearly sorted list of ten million records that does not fit into memory?",
    ),
    ("reasoning", "Three switches outside a closed room, one bulb inside, one visit. How do you find the switch?"),
    ("reasoning", "Is it cheaper to rent at 900 a month or to buy at 250,000 with 3.5 % interest over ten years?"),
    (
        "reasoning",
        "Here is a stack trace:\n```\nKeyError: 'id'\n  at load() line 12\n```\nWhat should I look at first?",
    ),
    ("reasoning", "Beweise, dass die Wurzel aus 2 irrational ist."),
    ("reasoning", "Work out the probability that two of 23 people share a birthday."),
    ("reasoning", "Schedule A before B, C after A, D never next to B, all within five slots. Give all orders."),
    ("reasoning", "Why is my React component rendered twice, although its state changes once?"),
    (
        "reasoning",
        (
            "Critique the following experiment: 20 people took the drug and knew it, 20 took nothing and knew it "
            "too; the first felt better."
        ),
    ),
    ("reasoning", "If I invest 1000 at 5 % a year and add 100 every month, what do I have after seven years?"),
    (
        "reasoning",
        "Write a regular expression that matches balanced brackets three deep, and explain why more is hard.",
    ),
    ("reasoning", "Given the recurrence T(n) = 2 T(n/2) + n, find its closed form."),
    ("reasoning", "What would happen to prices if a country that imports all of its wheat doubled its tariff on it?"),
    (
        "reasoning",
        "Migrate this service from REST to events without losing an order. What are the steps and the risks?",
    ),
    ("reasoning", "Two doors, two guards, one lies. Which question do you ask?"),
    ("reasoning", "Design an API for a chat with rooms, invitations and read receipts."),
    ("reasoning", "Debug: the total is off by one cent for some invoices only."),
    ("vision", pictured("Describe the chart.")),
    ("vision", pictured("Which plant is this?")),
    (
        "vision",
        Request(
            model="m",
            messages=(said("user", "Look.", PICTURE), said("assistant", "A cat."), said("user", "What breed?")),
        ),
    ),
    ("vision", pictured("Transcribe the handwriting.")),
    ("default", "Write a short story about a lighthouse keeper who befriends a whale."),
    ("default", "Draft a job advert for a gardener in a small town."),
    ("default", "Write a Python function that reads a CSV file and returns its rows as dictionaries."),
    ("default", "Compose a poem about autumn in the style of a sea shanty."),
    ("default", "Explain photosynthesis to a ten-year-old."),
    ("default", "Suggest ten names for a bakery that sells only rye bread."),
    ("default", "Write a product description for a folding bicycle, 100 words."),
    ("default", "Summarise the following report for the board: " + ARTICLE * 4),
    ("default", "Translate this article into German: " + ARTICLE * 3),
    ("default", "Give me a week of vegetarian dinners with a shopping list."),
    ("default", with_tool("Will it rain in Lima this weekend?")),
    ("default", with_tool("Compare the weather of Rome and Paris.")),
    ("default", "Turn this into a press release. " + ARTICLE * 2),
    ("default", "Write a SQL statement that creates a table for customers with the usual columns."),
    ("default", "Escribe una carta de agradecimiento a mi profesora."),
    ("default", "Write a toast for my sister's wedding; she loves climbing and hates speeches."),
)


UNSEEN: Sequence[Labelled] = (
    ("simple", "When did the Titanic sink?"),
    ("simple", "What's the opposite of 'transparent'?"),
    ("simple", "Tag this message as spam or not: 'You have won a free cruise, click here!'"),
    ("simple", "how many legs does a spider have"),
    ("simple", "Put this in the past tense: 'She goes to the market and buys bread.'"),
    ("simple", "What's the airport code of Lisbon?"),
    ("simple", "good evening"),
    ("simple", "Translate to Italian: Where is the nearest pharmacy?"),
    ("simple", "Pull the order number out of this: 'Hello, my order #55812 has not arrived.'"),
    ("simple", "¿Cuál es la capital del Perú?"),
    ("simple", "Who painted The Night Watch?"),
    ("simple", "What unit is electrical resistance measured in?"),
    ("simple", "Does Python have a switch statement?"),
    ("simple", "Give me the past participle of 'swim'."),
    ("simple", "What's 15% of 80?"),
    ("simple", "Which continent is Egypt in?"),
    ("simple", "Make this sentence polite: 'Send me the file now.'"),
    ("simple", "What is the git command to list branches?"),
    ("simple", "Turn 0.75 into a fraction."),
    ("simple", "Rate the mood of 'meh, it was okay I guess' from 1 to 5. Only the number."),
    ("reasoning", "A snail climbs 3 m a day and slips back 2 m at night. When is it out of a 10 m well?"),
    ("reasoning", "My Postgres query got 50 times slower after I added an index. How can that be?"),
    ("reasoning", "Prove or disprove: every continuous function on a closed interval is uniformly continuous."),
    ("reasoning", "What is wrong with this?\n\nint *p = malloc(10); p[10] = 0; free(p); free(p);"),
    ("reasoning", "Everyone in the village lies except the baker. The smith says the baker is the tailor. Is that so?"),
    ("reasoning", "Should a start-up with eight months of runway hire a salesperson or finish the product first?"),
    ("reasoning", "I need to split 17 camels among three heirs: a half, a third and a ninth. How?"),
    ("reasoning", "Our cache hit rate falls every day at noon, although traffic does not change. Where do I begin?"),
    ("reasoning", "Arrange eight queens on a chessboard so that none attacks another, and say how you found it."),
    ("reasoning", "Estimate how many piano tuners live in Chicago."),
    ("reasoning", "Work through the tax on 54,000 with bands of 10 % to 20,000, 20 % to 50,000 and 40 % beyond."),
    ("reasoning", "In which order should I cook these so that all of it is hot at 7: roast 90 min, beans 10, rice 20?"),
    ("reasoning", "Is this argument valid? No fish can sing. Some singers are bakers. So some bakers are no fish."),
    ("reasoning", "Rank these three offers for me: 80k and 20 days, 72k and 30 days and remote, 90k with travel."),
    ("reasoning", "Convert this recursive function into an iterative one without changing its order of visits."),
    ("reasoning", "How would you find a cycle in a linked list with constant memory?"),
    ("reasoning", "What does the second law of thermodynamics imply for a fridge that is left open in a closed room?"),
    ("reasoning", "Warum ist 0,999… gleich 1?"),
    ("reasoning", "We need exactly-once delivery over two queues that only promise at-least-once. How can it be done?"),
    ("reasoning", "Play the defence: what is the strongest objection to my claim that all taxes are theft?"),
    ("vision", pictured("How many people are there?")),
    ("vision", pictured("")),
    ("vision", pictured("Is the sign in this photo readable from a car?")),
    ("default", "Write a birthday message for a colleague who likes chess."),
    ("default", "Can you draft a reply to this complaint? The customer waited six weeks for a sofa."),
    ("default", "Make a packing list for a week of hiking in Norway."),
    ("default", "Continue the story: The door had been locked for a hundred years."),
    ("default", "What should I see in Kyoto in two days?"),
    ("default", "Tell me about the causes of the First World War."),
    ("default", "Implement a bash script that backs up a folder every night."),
    ("default", "Give feedback on my cover letter: I have always loved trains, and so I apply to the railway."),
    ("default", "Invent a board game about beekeeping."),
    ("default", "Rédige une annonce pour vendre un vélo."),
    ("default", "Summarize: " + ARTICLE * 3),
    ("default", with_tool("What is it like outside in Cairo?")),
    ("default", with_tool("hi")),
    ("default", "How does a heat pump work?"),
    ("default", "Translate the letter below into Polish. " + ARTICLE * 2),
    ("default", "Act as an interviewer for a job as a nurse and ask me the first question."),
    ("default", "Interview notes below, make bullet points. " + ARTICLE * 3),
)


class Score(Struct):
    """How the guesses compare with the labels."""

    pairs: Counter[tuple[str, str]]
    """Label and guess: how often."""

    @property
    def accuracy(self) -> float:
        """The share that was right."""
        return sum(count for (label, guess), count in self.pairs.items() if label == guess) / self.pairs.total()

    def of(self, label: str) -> float:
        """The share of those with a label that was right."""
        all_ = sum(count for (one, _), count in self.pairs.items() if one == label)
        return self.pairs[label, label] / all_

    @property
    def too_low(self) -> float:
        """The share of all that would go to a weaker model than the label says."""
        wrong = (("reasoning", "simple"), ("reasoning", "default"), ("default", "simple"))
        return sum(self.pairs[one] for one in wrong) / self.pairs.total()


def request_of(asked: str | Request) -> Request:
    return asked if isinstance(asked, Request) else Request(model="m", messages=(said("user", asked),))


def score(labelled: Sequence[Labelled]) -> Score:
    """Guess all of them."""
    return Score(Counter((label, classified(request_of(asked))[0]) for label, asked in labelled))


def wrong(labelled: Sequence[Labelled]) -> list[str]:
    """Those that were guessed wrong."""
    guesses = [(label, *classified(request), request) for label, asked in labelled for request in (request_of(asked),)]
    return [
        f"{label} taken for {guess} ({why}): {request.messages[-1].text[:70]}"
        for label, guess, why, request in guesses
        if label != guess
    ]


def microseconds() -> float:
    """How long a guess takes, on the average of all requests."""
    requests = [request_of(asked) for _, asked in (*KNOWN, *UNSEEN)]
    began, rounds = time.perf_counter(), 0
    while time.perf_counter() - began < 0.2:
        for request in requests:
            classified(request)
        rounds += 1
    return (time.perf_counter() - began) / rounds / len(requests) * 1e6


def table() -> str:
    """The scores in words."""
    told: list[str] = []
    for name, labelled in (("known", KNOWN), ("unseen", UNSEEN)):
        seen = score(labelled)
        rows = [
            (label, f"{seen.of(label):.0%}", *(str(seen.pairs[label, guess] or "") for guess in KINDS))
            for label in KINDS
        ]
        title = (
            f"Complexity: {len(labelled)} {name} requests, {seen.accuracy:.0%} right, {seen.too_low:.0%} sent too low"
        )
        told.append(printed(title, ("label", "right", *(f"as {kind}" for kind in KINDS)), rows))
    return "\n".join([*told, f"A guess takes {microseconds():.1f} µs.\n"])


if __name__ == "__main__":
    sys.stdout.write(table())
    if "--wrong" in sys.argv:
        sys.stdout.write("\n".join(wrong((*KNOWN, *UNSEEN))))
