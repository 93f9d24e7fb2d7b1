"""What each model can do and what it costs: facts, the price of a usage, token estimates.

Facts are data with a source and a date. This room knows no wire, no address and no key, and asks nobody: what it does
not know is None, never a guess and never 0.
"""
