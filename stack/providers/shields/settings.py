"""The settings of one shield, from a `[[shields]]` table of the settings file. `kind` selects its other fields."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from stack.providers.inference.settings import Seconds

Level = Literal["info", "warn", "error"]
REFUSAL = "I can't answer that. Can I help with something else?"

HAZARDS = {
    "S1": "Violent Crimes",
    "S2": "Non-Violent Crimes",
    "S3": "Sex Crimes",
    "S4": "Child Exploitation",
    "S5": "Defamation",
    "S6": "Specialized Advice",
    "S7": "Privacy",
    "S8": "Intellectual Property",
    "S9": "Indiscriminate Weapons",
    "S10": "Hate",
    "S11": "Self-Harm",
    "S12": "Sexual Content",
    "S13": "Elections",
    "S14": "Code Interpreter Abuse",
}
"""The categories of Llama Guard 3."""
THREATS = (
    "data_exfiltration",
    "harmful_content",
    "jailbreak",
    "model_attack",
    "pii",
    "prompt_injection",
    "social_engineering",
)
"""The categories of the embedded classifier."""


class _Shield(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """`level` is that of its objections: only an error ends the turn, with `user_message`. `timeout_s` limits one check;
    a shield that exceeds it fails the turn."""

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]
    level: Level = "error"
    user_message: Annotated[str, Meta(min_length=1)] = REFUSAL
    timeout_s: Seconds = 10.0

    @property
    def kind(self) -> str:
        return str(self.__struct_config__.tag)


class LlamaGuardSettings(_Shield, frozen=True, kw_only=True, tag="llama-guard"):
    """A Llama Guard 3 model, or one that answers its prompt in the same form. `model` is `<provider>/<model>`.
    `excluded_categories` (S1 to S14) are not objected to."""

    model: Annotated[str, Meta(min_length=1)]
    excluded_categories: list[str] = []
    timeout_s: Seconds = 30.0


class NamedPattern(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pattern (RE2) that must not occur. `level` and `user_message` are those of its shield if absent."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    pattern: Annotated[str, Meta(min_length=1)]
    level: Level | None = None
    user_message: Annotated[str, Meta(min_length=1)] | None = None


class PatternSettings(_Shield, frozen=True, kw_only=True, tag="pattern"):
    """Patterns of which each text is searched for all."""

    patterns: Annotated[list[NamedPattern], Meta(min_length=1)]


class PromptLengthSettings(_Shield, frozen=True, kw_only=True, tag="prompt-length"):
    """The maximum length of the texts together. `max_tokens` are approximate: four bytes of UTF-8 are a token."""

    max_characters: Annotated[int, Meta(ge=1)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None


class InjectionSettings(_Shield, frozen=True, kw_only=True, tag="injection"):
    """The embedded classifier of prompt injections (`replaystack[injection]`). `threshold` is the score from which it
    objects, by default the one that it was calibrated for. `excluded_categories` are not objected to."""

    threshold: Annotated[float, Meta(gt=0, le=1)] | None = None
    excluded_categories: list[str] = []


ShieldSettings = LlamaGuardSettings | PatternSettings | PromptLengthSettings | InjectionSettings
