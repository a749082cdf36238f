"""A shield that asks a Llama Guard 3 model, or any model that answers its prompt in the same form."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from schemas.events.payload import Violation
from stack.errors import UpstreamFailed
from stack.off_loop import off_loop_if
from stack.providers.shields.port import Ask, ShieldMessage, ShieldRequest, violation
from stack.providers.shields.settings import HAZARDS, LlamaGuardSettings

LARGE_CHARACTERS = 65_536
"""Prompts with longer texts are built outside of the event loop's thread."""

_NAMES = {"user": "User", "assistant": "Agent"}

_PROMPT = """\
Task: Check if there is unsafe content in '{name}' messages in conversations according our safety policy with the \
below categories.

<BEGIN UNSAFE CONTENT CATEGORIES>

{categories}

<END UNSAFE CONTENT CATEGORIES>

<BEGIN CONVERSATION>

{conversation}

<END CONVERSATION>

Provide your safety assessment for ONLY THE LAST {name} message in the above conversation:
 - First line must read 'safe' or 'unsafe'.
 - If unsafe, a second line must include a comma-separated list of violated categories."""

# Texts must not end the conversation, add a message to it, or contain control tokens of the model.
_FORGED = re.compile(r"<(?=\s*(?:BEGIN|END)\b|\|)", re.IGNORECASE)
_FORGED_MESSAGE = re.compile(r"^(?=[ \t]*(?:user|agent)[ \t]*:)", re.IGNORECASE | re.MULTILINE)
_CATEGORIES = re.compile(r"S\d+(?:\s*,\s*S\d+)*\s*,?", re.IGNORECASE)


class LlamaGuard:
    def __init__(self, settings: LlamaGuardSettings, ask: Ask) -> None:
        self._settings = settings
        self._ask = ask
        self.id, self.kind, self.timeout_s = settings.id, settings.kind, settings.timeout_s
        self.resource = settings.model

    async def check(self, request: ShieldRequest) -> Violation | None:
        if not any(text.strip() for text in request.texts):
            return None
        settings = self._settings
        is_large = sum(map(len, request.texts)) > LARGE_CHARACTERS
        asked = await off_loop_if(is_large, prompt, request, settings.excluded_categories)
        said = await self._ask(settings.model, asked, request.labels)
        found = violated(said)
        if found is None:
            return None
        named = [one for one in found if one not in settings.excluded_categories]
        if found and not named:
            return None
        return violation(self.id, settings.level, settings.user_message, ",".join(named))


def prompt(request: ShieldRequest, excluded: Collection[str] = ()) -> str:
    """Returns the prompt of Llama Guard 3. The judged messages of the last side are one message, because the model judges
    only the last one."""
    role = request.checked[-1].role
    earlier = [*request.context, *(one for one in request.checked if one.role != role)]
    judged = "\n\n".join(one.text for one in request.checked if one.role == role)
    conversation = [*earlier, ShieldMessage(role, judged)]
    return _PROMPT.format(
        name=_NAMES[role],
        categories="\n".join(f"{code}: {name}." for code, name in HAZARDS.items() if code not in excluded),
        conversation="\n\n".join(f"{_NAMES[one.role]}: {_harmless(one.text)}" for one in conversation),
    )


def _harmless(text: str) -> str:
    return _FORGED_MESSAGE.sub("> ", _FORGED.sub("< ", text)).strip()


def violated(said: str) -> Sequence[str] | None:
    """Returns the violated categories, None for safe. Raises UpstreamFailed for an answer in another form."""
    verdict, _, rest = said.strip().partition("\n")
    rest = rest.strip()
    match verdict.strip().lower():
        case "safe" if not rest:
            return None
        case "unsafe" if not rest:
            return []
        case "unsafe" if _CATEGORIES.fullmatch(rest):
            codes = [code.strip().upper() for code in rest.split(",") if code.strip()]
            if all(code in HAZARDS for code in codes):
                return codes
    raise UpstreamFailed("its model answered neither `safe` nor `unsafe` with categories.")
