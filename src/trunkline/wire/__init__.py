"""How each API says it: one module per API, each a two-way dictionary round the vocabulary.

Pure functions of values. No provider's name, no model's name, no clock, no I/O: what a writer must know of its target
reaches it as one `Facts`.
"""
