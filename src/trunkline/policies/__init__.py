"""Under which rules: observe, cache, repair and attempts, with each rule a pure function in a file of its own.

A policy wraps a step and holds no state. It settles in `answer.on_end` and never wraps a stream.
"""
