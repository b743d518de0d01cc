"""How the placement service says no."""

from __future__ import annotations


class Refusal(Exception):
    """Why there is no answer: the name of a gRPC status, and one sentence for the caller."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
