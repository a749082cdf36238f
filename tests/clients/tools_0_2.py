"""The tools that the scenarios of llama-stack-client 0.2.x give to their agents."""

from __future__ import annotations

from typing import Any


def get_boiling_point(liquid_name: str, celsius: bool = True) -> Any:
    """
    Returns the boiling point of a liquid in Celsius or Fahrenheit.

    :param liquid_name: The name of the liquid
    :param celsius: Whether to return the boiling point in Celsius
    """
    return {"content": -100 if celsius else -148, "metadata": {"asked": liquid_name}}


def add(first: int, second: int) -> int:
    """
    Adds two whole numbers.

    :param first: The first number
    :param second: The second number
    """
    return first + second


def switch_light(on: bool) -> str:
    """
    Switches the light on or off.

    :param on: Whether it is to be on
    """
    return "the light is on" if on else "the light is off"


def broken(city: str) -> str:
    """
    Tells the weather of a city.

    :param city: The city
    """
    raise RuntimeError(f"no weather in {city}")
