"""Simulations: the policies among many calls, on a clock that jumps from one event to the next.

Each module has `run()`, which gives its figures, and `table()`, which says them in words. `simulate.py` prints all of
them; `test_simulations.py` holds them to what the documentation claims.
"""
