"""Rows become samples: tokens, and which of them are trained."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from stack.providers.training.row_form import Messages, RowRefused, conversation, preference
from stack.providers.training.trainer.refused import InputRefused

IGNORED = -100
"""The label of a token that is not trained; the value that torch's cross entropy ignores."""
_GENERATION = "{% generation", "{%- generation"


class Sample(NamedTuple):
    """`labels` has the token where it is trained, IGNORED elsewhere. `trained` is the number of tokens that
    have a loss; the first token has none, since nothing comes before it."""

    tokens: array[int]
    labels: array[int]
    trained: int


class Pair(NamedTuple):
    chosen: Sample
    rejected: Sample


class Renderer:
    """Renders conversations with a tokenizer's chat template. `context` is the longest sample in tokens;
    `vocabulary` is the number of tokens that the model has.

    Without a template, only a single question with its answer can be rendered: the two texts and the end token.
    """

    def __init__(self, tokenizer: Any, context: int, vocabulary: int) -> None:
        self._tokenizer = tokenizer
        self._context = context
        self._vocabulary = vocabulary
        template = tokenizer.chat_template
        self._has_template = bool(template)
        self._marks_answers = any(mark in str(template) for mark in _GENERATION)

    def conversation(self, messages: Messages, train_on_input: bool) -> Sample:
        """All messages of the assistant are trained, or with `train_on_input` all tokens."""
        if not self._has_template:
            tokens, start = self._plain(messages)
            trained = [number >= start for number in range(len(tokens))]
        elif self._marks_answers:
            found = self._tokenizer.apply_chat_template(
                messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
            )
            tokens, trained = found["input_ids"], found["assistant_masks"]
        else:
            answers = [number for number, one in enumerate(messages) if one["role"] == "assistant"]
            tokens, trained = self._marked(messages, answers)
        return self._sample(tokens, [True] * len(tokens) if train_on_input else trained)

    def answer(self, prompt: Messages, answer: Messages) -> Sample:
        """Everything after the prompt is trained."""
        messages = [*prompt, *answer]
        if not self._has_template:
            tokens, start = self._plain(messages)
            return self._sample(tokens, [number >= start for number in range(len(tokens))])
        text = self._text(messages)
        start = self._begin(messages, len(prompt), text)
        tokens, trained = self._tokens(text, [(start, len(text))])
        return self._sample(tokens, trained)

    def _plain(self, messages: Messages) -> tuple[list[int], int]:
        """Returns the tokens of a question and its answer, and where the answer begins."""
        if [one["role"] for one in messages] != ["user", "assistant"]:
            raise InputRefused(
                "the tokenizer has no chat template, so a row can only be one question and its answer; use a model with a "
                "chat template, or add one to its folder (chat_template.jinja)"
            )
        question = self._tokenizer(messages[0]["content"])["input_ids"]
        answer = self._tokenizer(messages[1]["content"], add_special_tokens=False)["input_ids"]
        end = self._tokenizer.eos_token_id
        return [*question, *answer, *([] if end is None else [end])], len(question)

    def _marked(self, messages: Messages, answers: list[int]) -> tuple[list[int], list[bool]]:
        """Returns the tokens of a conversation, and whether they belong to one of these messages."""
        text = self._text(messages)
        spans = []
        for number in answers:
            end = len(self._text(messages[: number + 1]))
            spans.append((self._begin(messages, number, text), end))
        return self._tokens(text, spans)

    def _begin(self, messages: Messages, number: int, text: str) -> int:
        """Returns where a message begins in the text of the conversation, after the prompt for it."""
        before = self._text(messages[:number], add_generation_prompt=True)
        if not text.startswith(before):
            raise InputRefused(
                f"the chat template renders the messages before message {number} differently once it follows, so its tokens "
                "cannot be found; mark answers in the template with {% generation %}, or train on its last answer only"
            )
        return len(before)

    def _text(self, messages: Messages, **options: Any) -> str:
        return str(self._tokenizer.apply_chat_template(messages, tokenize=False, **options))

    def _tokens(self, text: str, spans: list[tuple[int, int]]) -> tuple[list[int], list[bool]]:
        if not self._tokenizer.is_fast:
            raise InputRefused(
                "the tokenizer has no tokenizer.json, which is needed to find the answers' tokens"
            )
        found = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        starts = [start for start, _ in found["offset_mapping"]]
        return found["input_ids"], [any(low <= one < high for low, high in spans) for one in starts]

    def _sample(self, tokens: list[int], trained: list[Any]) -> Sample:
        if len(tokens) > self._context:
            raise InputRefused(
                f"it has {len(tokens)} tokens and the model's context is {self._context}; shorten or remove it, or choose a "
                "model with a longer context"
            )
        if max(tokens, default=0) >= self._vocabulary:
            raise InputRefused(
                f"the tokenizer makes the token {max(tokens)}, and the model has {self._vocabulary}; they do not "
                "belong together"
            )
        labels = [token if use else IGNORED for token, use in zip(tokens, trained, strict=True)]
        count = sum(label != IGNORED for label in labels[1:])
        if not count:
            raise InputRefused("it has no token to train: its answer is empty")
        return Sample(array("i", tokens), array("i", labels), count)


def read_samples(path: str, renderer: Renderer, data_format: str, train_on_input: bool) -> list[Sample]:
    """Reads the rows of a file for fine-tuning. Raises InputRefused, which names the row."""
    return [
        _of_row(number, lambda row=row: renderer.conversation(conversation(row, data_format), train_on_input))
        for number, row in _rows(path)
    ]


def read_pairs(path: str, renderer: Renderer) -> list[Pair]:
    """Reads the rows of a file for preference optimisation. Raises InputRefused, which names the row."""

    def pair(row: dict[str, Any]) -> Pair:
        prompt, chosen, rejected = preference(row)
        return Pair(renderer.answer(prompt, chosen), renderer.answer(prompt, rejected))

    return [_of_row(number, lambda row=row: pair(row)) for number, row in _rows(path)]


def pack(samples: list[Sample], length: int) -> list[list[Sample]]:
    """Puts consecutive samples into sequences of at most `length` tokens."""
    sequences: list[list[Sample]] = []
    left = 0
    for sample in samples:
        if len(sample.tokens) > left or not sequences:
            sequences.append([])
            left = length
        sequences[-1].append(sample)
        left -= len(sample.tokens)
    return sequences


def _rows(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    number = -1
    with Path(path).open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            yield number, json.loads(line)
    if number < 0:
        raise InputRefused("the dataset has no rows; append some")


def _of_row(number: int, make: Any) -> Any:
    try:
        return make()
    except (RowRefused, InputRefused) as error:
        raise InputRefused(f"row {number} (the first is 0) cannot be trained on: {error}") from None
