"""`basic::ifeval`: the share of its instructions that an answer follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.api.scoring_function import BasicScoringFnParams, ScoringFnParams
from stack.domain.near import nearest
from stack.providers.scoring.fields import field, kind, text
from stack.providers.scoring.instructions import CHECKS, Arguments
from stack.providers.scoring.port import Definition, Row, RowFault, ScoreRow

MAX_CHARACTERS = 1_000_000
MAX_INSTRUCTIONS = 100


def ifeval(params: ScoringFnParams, row: Row) -> ScoreRow:
    """`score` is the share of followed instructions, `weight` their number. An empty answer follows none."""
    ids = _ids(row)
    try:
        answer = text(row, "generated_answer", MAX_CHARACTERS).strip()
        arguments = _arguments(row, ids)
        followed = [
            bool(answer) and CHECKS[id](answer, given) for id, given in zip(ids, arguments, strict=True)
        ]
    except RowFault as fault:
        raise RowFault(fault.detail, float(len(ids))) from None
    return {"score": sum(followed) / len(ids) if ids else 0.0, "weight": float(len(ids))}


def _ids(row: Row) -> Sequence[str]:
    ids = field(row, "instruction_id_list")
    if not isinstance(ids, list) or not all(isinstance(id, str) for id in ids):
        raise RowFault(f"'instruction_id_list' is {kind(ids)}; it must be a list of names of instructions.")
    if len(ids) > MAX_INSTRUCTIONS:
        raise RowFault(
            f"'instruction_id_list' names {len(ids):,} instructions; at most {MAX_INSTRUCTIONS} fit."
        )
    for id in ids:
        if id not in CHECKS:
            near = nearest(id, CHECKS)
            hint = f" Nearest: {near!r}." if near else ""
            raise RowFault(f"There is no instruction {id[:100]!r}.{hint}", float(len(ids)))
    return ids


def _arguments(row: Row, ids: Sequence[str]) -> list[Arguments]:
    """Returns the arguments of each instruction from `kwargs`, in the same order. null means no arguments."""
    given = row.get("kwargs")
    given = [None] * len(ids) if given is None else given
    if not isinstance(given, list) or len(given) != len(ids):
        raise RowFault(
            f"'kwargs' must be a list of as many objects as 'instruction_id_list' has names, {len(ids)}."
        )
    wrong = [one for one in given if one is not None and not isinstance(one, Mapping)]
    if wrong:
        raise RowFault(f"'kwargs' holds {kind(wrong[0])}; it must hold objects.")
    values: list[Mapping[str, Any]] = [one or {} for one in given]
    return [Arguments(id, value) for id, value in zip(ids, values, strict=True)]


DEFINITIONS = (
    Definition(
        id="basic::ifeval",
        description=(
            "The part of the row's instructions that the generated answer follows, with their number as `weight`. "
            "Reads `instruction_id_list` and `kwargs`, as the data set IFEval has them."
        ),
        params=BasicScoringFnParams(aggregation_functions=["weighted_average"]),
        place="worker",
        libraries=("langdetect",),
        score_row=ifeval,
    ),
)
