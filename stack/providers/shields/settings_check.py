"""Checks the settings of shields at start."""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec

from stack.errors import Invalid
from stack.providers import patterns
from stack.providers.inference.demo_extractive import DemoExtractive
from stack.providers.shields.settings import (
    HAZARDS,
    THREATS,
    InjectionSettings,
    LlamaGuardSettings,
    PatternSettings,
    PromptLengthSettings,
    ShieldSettings,
)


def check(settings: ShieldSettings) -> None:
    """Checks combinations of values, and that what the shield needs is installed. Raises ValueError with the remedy."""
    match settings:
        case LlamaGuardSettings(model=model, excluded_categories=excluded):
            provider, _, name = model.rpartition("/")
            if provider in ("", "demo") and name in DemoExtractive.NAMES:
                raise ValueError(f"model {model!r} is a lexical demo and cannot judge. Name a guard model.")
            _check_categories(excluded, HAZARDS)
        case PatternSettings(patterns=named):
            names = [one.name for one in named]
            if repeated := next((name for name in names if names.count(name) > 1), None):
                raise ValueError(f"the pattern name {repeated!r} is used twice. Choose another one.")
            try:
                patterns.check([one.pattern for one in named], "patterns")
            except Invalid as error:
                raise ValueError(error.detail) from None
            if every := next((one for one in named if patterns.compiled(one.pattern).search(b"")), None):
                raise ValueError(f"the pattern {every.name!r} matches the empty text, and so every text.")
        case PromptLengthSettings(max_characters=None, max_tokens=None):
            raise ValueError("set max_characters or max_tokens.")
        case InjectionSettings(excluded_categories=excluded):
            _check_categories(excluded, THREATS)
            if find_spec("svguardian") is None:
                raise ValueError("its classifier is not installed. Run: pip install 'replaystack[injection]'")


def _check_categories(excluded: list[str], known: Collection[str]) -> None:
    for one in excluded:
        if one not in known:
            raise ValueError(f"excluded_categories holds {one!r}. Known: {', '.join(known)}.")
    if len(set(excluded)) == len(known):
        raise ValueError("excluded_categories excludes everything. Remove the shield instead.")
