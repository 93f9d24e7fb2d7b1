"""Structured output for targets that cannot be held to a form.

`ladder` decides how such a target is told the form, `reading` reads its answer back, whole or as a stream, `value`
finds the JSON in a text, and `checking` says what is wrong with an answer, because nobody held the model to the form.
"""

from .checking import Complaint, complaint, mending, misfit, path_of
from .ladder import emulated, instruction
from .reading import reading_of
from .value import bare

__all__ = [
    "Complaint",
    "bare",
    "complaint",
    "emulated",
    "instruction",
    "mending",
    "misfit",
    "path_of",
    "reading_of",
]
