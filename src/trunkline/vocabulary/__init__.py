"""What is said, and the shapes that everyone shares.

The lowest floor: plain values and protocols. No I/O, no clock of its own, no provider's name.
"""
