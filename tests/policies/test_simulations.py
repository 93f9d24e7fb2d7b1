"""What the simulations show, held to what the documentation claims; their figures are printed by `simulate.py`."""

import complexity_score
import pytest
from simulations import adapting, affinity, hedging, strategies

from trunkline.vocabulary.rules import Hedge


def test_hedging_cuts_a_heavy_tail_for_a_few_more_attempts():
    off, on = hedging.run(None), hedging.run(Hedge(share=hedging.SHARE))
    assert on.p99 < 0.3 * off.p99
    assert on.p50 < 1.05 * off.p50
    assert 0 < on.extra <= on.hedged <= hedging.SHARE
    assert (off.hedged, off.failed, on.failed) == (0, 0, 0)


def test_a_smaller_share_is_kept_too():
    assert 0 < hedging.run(Hedge(share=0.02)).hedged <= 0.021


def test_hedging_is_off_when_targets_are_in_trouble():
    assert hedging.run(Hedge(share=hedging.SHARE), fails=0.2).hedged < 0.01


@pytest.mark.parametrize(("strategy", "share"), [("least-busy", 0.65), ("lowest-latency", 0.5)])
def test_who_looks_at_the_targets_beats_the_shuffle(strategy, share):
    shuffled, seen = strategies.run("simple-shuffle"), strategies.run(strategy)
    assert seen.mean < share * shuffled.mean
    assert seen.p95 < share * shuffled.p95


@pytest.mark.parametrize("rate", affinity.LOADS)
def test_conversations_stay_where_their_beginning_is_cached(rate):
    seen = affinity.run(rate=rate)
    assert seen.stayed >= 0.9
    assert seen.over == 0
    assert seen.busiest < 1.4


def test_a_shuffle_does_not_keep_them():
    assert affinity.run("simple-shuffle").stayed < 0.25


def test_who_adapts_is_rarely_refused_and_answers_as_many():
    off, on = adapting.run(adaptive=False), adapting.run(adaptive=True)
    assert on.refused < 0.1 * off.refused
    assert on.refused < 0.05 * on.answered
    assert on.answered >= 0.95 * off.answered
    assert on.failed == 0 < off.failed


def test_the_guess_at_complexity_is_as_good_as_it_says():
    known, unseen = complexity_score.score(complexity_score.KNOWN), complexity_score.score(complexity_score.UNSEEN)
    assert known.accuracy >= 0.9
    assert unseen.accuracy >= 0.6
    assert unseen.of("vision") == 1
    assert unseen.of("simple") >= 0.9
    assert unseen.pairs["reasoning", "simple"] <= 0.25 * 20
    assert len(complexity_score.KNOWN) + len(complexity_score.UNSEEN) >= 80
