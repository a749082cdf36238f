"""The tools that the scenarios of llama-stack-client 0.2.x give to their agents."""

from __future__ import annotations

from typing import Any

LIQUID = {"name": "get_boiling_point"}


def get_boiling_point(liquid_name: str, celsius: bool = True) -> Any:
    """
    Returns the boiling point of a liquid in Celsius or Fahrenheit.

    :param liquid_name: The name of the liquid
    :param celsius: Whether to return the boiling point in Celsius
    """
    return {"content": -100 if celsius else -148, "metadata": {"asked": liquid_name}}


def add(expression: str) -> str:
    """
    Calculates an arithmetic expression.

    :param expression: The expression, as in 2 + 3
    """
    left, _, right = expression.partition("+")
    return str(int(left) + int(right))


def broken(city: str) -> str:
    """
    Tells the weather of a city.

    :param city: The city
    """
    raise RuntimeError(f"no weather in {city}")
