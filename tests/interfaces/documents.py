"""The documents that the interfaces fulfil: their items, and their examples as printed.

They are another project's words, so they are not in this repository: SEEDS names their folder, else `../shared/seeds`.
"""

import os
import re
from pathlib import Path

FOLDER = Path(os.environ.get("SEEDS") or Path(__file__).parents[2].parent / "shared" / "seeds")
HOME = {
    0: "trunkline.interfaces.handlers",
    1: "trunkline.interfaces.manager",
    2: "trunkline.interfaces.litellm_client",
    3: "trunkline.interfaces.registry",
    4: "trunkline.interfaces.generate",
}
"""By the number of a document: the interface that fulfils it."""
THEIR_IMPORTS = {1: ("aitor.llm", "aitor"), 2: ("dewey.llm",), 4: ("core.llms",)}
"""What their examples import."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)(?:^```|\Z)", re.MULTILINE | re.DOTALL)
_ITEM = re.compile(r"\bS([0-4])\.(\d+)\b")


def items() -> list[str]:
    """The numbered items, in their order; empty where the documents are not there."""
    contract = FOLDER / "CONTRACT.md"
    if not contract.is_file():
        return []
    statements = re.findall(r"^## S\d \(1\).*?(?=^## S\d \(2\))", contract.read_text(), re.MULTILINE | re.DOTALL)
    found = {(int(seed), int(number)) for text in statements for seed, number in _ITEM.findall(text)}
    return [f"S{seed}.{number}" for seed, number in sorted(found)]


def blocks(seed: int, language: str = "python") -> list[str]:
    """The examples of a document as printed, with only their imports' path changed."""
    for document in FOLDER.glob(f"{seed:03}_*.txt"):
        found = [text for named, text in _FENCE.findall(document.read_text()) if named == language]
        for theirs in THEIR_IMPORTS.get(seed, ()):
            found = [
                re.sub(rf"^from {re.escape(theirs)} import", f"from {HOME[seed]} import", one, flags=re.M)
                for one in found
            ]
        return found
    return []
