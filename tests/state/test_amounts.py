"""Amounts: dollars as whole numbers, and back."""

from decimal import Decimal, localcontext

from trunkline.vocabulary.buckets import dollars, nanos


def test_money_is_exact_whatever_the_programs_own_context_rounds_to():
    with localcontext(prec=2):
        assert nanos(Decimal("1234.567891234")) == 1_234_567_891_234
        assert str(dollars(1_234_567_891_234)) == "1234.567891234"


def test_a_part_of_a_nano_dollar_counts_as_one():
    assert [nanos(Decimal(amount)) for amount in ("0", "0.0000000001", "0.000000001")] == [0, 1, 1]
