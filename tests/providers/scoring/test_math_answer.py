"""Answers of mathematics: the same value, however written."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.api.scoring_function import RegexParserScoringFnParams
from stack.providers.scoring.math_answer import last_boxed
from tests.providers.scoring.rows import error, score

NAME = "basic::regex_parser_math_response"

pytestmark = pytest.mark.filterwarnings("ignore")  # of sympy, about strange expressions


@pytest.mark.slow
@pytest.mark.parametrize(
    ("expected", "generated", "same"),
    [
        (r"\frac{1}{2}", r"The final answer is: $\boxed{0.5}$. I hope it is correct.", 1),
        (r"So $r = 3$ and thus $\boxed{\left( 3, \frac{\pi}{2} \right)}.$", r"\boxed{(3,\pi/2)}", 1),
        ("42", "So we get 42", 1),
        ("42", "So it is 42 and then 43", 0),
        (42, "42.0", 1),
        ("1,000", "1000", 1),
        ("x=5", "5", 1),
        (r"\{1,2\}", r"\{2,1\}", 1),
        ("12_{8}", "12_{9}", 0),
        ("1011_2", "1011", 1),
        (r"\log_{2} 8", r"\log_{4} 64", 1),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix}1 \\ 2\end{bmatrix}", 1),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\3\end{pmatrix}", 0),
        (r"\begin{pmatrix}1&2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}", 0),
        ("1/2", r"\dfrac12", 1),
        (r"10\%", "0.1", 1),
        (r"3\sqrt{2}", r"$\sqrt{18}$", 1),
        ("2x+1", "1+2x", 1),
        ("2x+1", "2x+2", 0),
        (r"\text{Evelyn}", "Evelyn", 1),
        ("listen", r"\boxed{silent}", 0),
        (r"\text{listen}", r"\boxed{\text{silent}}", 0),
        ("5", r"\boxed{5 \text{ cm}}", 1),
        ("(A)", r"\boxed{A}", 1),
        ("7", "", 0),
        ("", "", 1),
        ("7", "\\boxed{" * 300 + "7" + "}" * 300, 1),
        (r"\left\{1", "}{", 0),
        ("13", r"\text{13}", 1),
        (r"(1,\frac{9}{2})", "(1,4.5)", 1),
        ("1234", "1,234", 1),
        ("5", "x=5", 1),
        ("4", r"4\sqrt{2}", 0),
        (r"\frac{1}{2^{98}}", r"\frac{1}{2^{99}}", 0),
        (r"\frac{1}{2004!}", r"\frac{1}{2006!}", 0),
        (r"1.6\times 10^{-19}", r"6.626\times 10^{-34}", 0),
        ("0.0000002", "0.0000001", 0),
        ("3x+4y+14=0", "3x-1y+13=0", 0),
        ("$D = (0, 1)$", "$D = (0, 1.5)$", 0),
        ("$n=2, 3, 4$", "$n=1, 2, 3$", 0),
        (r"$1 - \frac{1}{\mathrm{e}}$", r"$1 + \frac{1}{\mathrm{e}}$", 0),
        (r"1 - \frac{1}{\mathrm{e}}", r"1 + \frac{1}{\mathrm{e}}", 0),
        (r"$\pm 2021$", "$2021$", 0),
        ("$12:00$", "$1:00$", 0),
        ("90", r"90^\circ", 1),
        ("12.5", r"\$12.50", 1),
        (r"\$18.90", r"\boxed{18.90}", 1),
        ("18.90", r"\boxed{\$18.90}", 1),
        (r"\$18.90", r"The cost is \boxed{\$18.90}.", 1),
        (r"\$18.90", r"\boxed{18.9}", 1),
        (r"\frac{1}{23}", r"\frac{12}{3}", 0),
        (r"\sqrt{2}3", r"\sqrt{23}", 0),
        ("1 2", "12", 0),
        (r"1+\frac{1}{\mathrm{e}}", "1+e^{-1}", 1),
        (r"\mathrm{e}^2", "e^2", 1),
        (r"\operatorname{e}", "e", 1),
        (r"\mathrm{e}", "2", 0),
        ("1e-7", "0.0000001", 1),
        ("1e-7", "10^{-7}", 1),
        ("1e-7", "2e-7", 0),
        ("6.02e23", r"6.02\times10^{23}", 1),
        ("6.02e23", "6.03e23", 0),
        ("3.5e-7", "The value is 3.5e-7", 1),
        ("3.5e-7", "The value is 3.6e-7", 0),
        (r"3.5\times 10^{-7}", "the answer is 3.5 x 10^-7", 1),
        ("1/3", "0.333333", 1),
        ("1/3", "0.33", 0),
        ("3.14159265", "3.141593", 1),
        ("100000000000000000000", "100000000000000000001", 0),
        ("10^{100}", "10^{100}+1", 0),
        ("2^{100}", "1267650600228229401496703205376", 1),
        ("2^{100}", "1267650600228229401496703205377", 0),
        ("18", "#### 18", 1),
        ("18", "The answer is $18.", 1),
        ("18.9", "It costs $18.90", 1),
        ("1234.5", "The answer is: 1,234.50", 1),
        ("50%", "0.5", 1),
        ("50%", "50", 1),
        ("50%", "5", 0),
        (r"12.5\%", "12.5%", 1),
        ("0.125", r"12.5\%", 1),
        ("5 cm", "5 m", 0),
        ("5 cm", "5 centimeters", 1),
        ("5 cm", "5", 1),
        ("3xy", "3", 0),
        ("12", "12 apples", 1),
        ("(1,2)", "(2,1)", 0),
        ("[1,2]", "(1,2)", 0),
        ("[1,2)", "[1,2)", 1),
        ("1, 2, 3", "3, 2, 1", 1),
        ("1, 2, 3", "1, 2, 4", 0),
        (r"[1,2]\cup[3,4]", r"[3,4]\cup[1,2]", 1),
        (r"\{0.0000001, 1\}", r"\{0.0000002, 1\}", 0),
        ("(0.0000001, 1)", "(0.0000002, 1)", 0),
        (r"(-\infty, 3)", r"(-\infty,3)", 1),
        (r"(-\infty, 3)", r"(-\infty,3]", 0),
        ("x = 0.0000001", "x = 0.0000002", 0),
        ("x/2^{99}", "x/2^{98}", 0),
        (r"\frac{x}{2^{99}}", r"\frac{x}{2^{98}}", 0),
        ("x^2+1", "1+x^2", 1),
        (r"\frac{x}{2}", "0.5x", 1),
        (r"\sin^2 x+\cos^2 x", "1", 1),
        ("0", "10^{-10}", 0),
        ("0", "0.0000001", 0),
        ("0", "0.0", 1),
        ("-1", "1", 0),
        (r"1\frac{1}{2}", "1.5", 1),
        ("1 1/2", "3/2", 1),
        ("1.5 million", "1500000", 1),
        ("1,500,000", r"1.5\times 10^6", 1),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}", 1),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}2\\1\end{pmatrix}", 0),
        (r"\begin{pmatrix}0.0000001\\2\end{pmatrix}", r"\begin{pmatrix}0.0000002\\2\end{pmatrix}", 0),
        ("2+3i", "3i+2", 1),
        ("2+3i", "2-3i", 0),
        (r"\text{yes}", "yes", 1),
        ("4", "The answer is 4.", 1),
        ("4", "Therefore, the answer is $4$.", 1),
        ("4", "the answer is $x = 4$", 1),
        (r"\frac{\sqrt{3}}{2}", r"The answer is \(\frac{\sqrt3}{2}\)", 1),
        ("90", "90 degrees", 1),
        (r"90^\circ", "90°", 1),
        ("11:30", "11:30", 1),
        ("1:2", "2:1", 0),
        ("y=2x+1", "y = 1+2x", 1),
        ("y=2x+1", "2x+1", 1),
        ("y=2x+1", "y=2x-1", 0),
        ("0.1", r"\frac{1}{10}", 1),
        ("3", r"\boxed{3}\text{ or }\boxed{4}", 0),
        ("12,345.6", "12345.6", 1),
        ("1{,}234", "1234", 1),
        (r"1\,234", "1234", 1),
        ("-5", "\u22125", 1),
        ("3.0", "3", 1),
        ("123456789", "123456789.1", 0),
        ("1000000", "1000001", 0),
        ("1000000.0", "1000001", 0),
        ("e", "2.718281828", 1),
        (r"\$5", r"5\text{ dollars}", 1),
        ("€5", "$5", 0),
        ("5!", "120", 1),
        ("1/2^{99}", "1/2^{98}", 0),
        ("-2*pi", r"-2\pi", 1),
        ("pi/2", r"\boxed{\dfrac{\pi}{2}}", 1),
        ("sqrt(2)", r"\sqrt{2}", 1),
        ("2π", r"2\pi", 1),
        ("pi", "3", 0),
        (r"$5 \text{ cm}$", "5 km", 0),
        ("5 m", "5 cm", 0),
        ("x ≤ 3", r"x\le 3", 1),
        ("x ≤ 3", "x<3", 0),
    ],
)
def test_value_counts_and_not_form(expected: Any, generated: str, same: int) -> None:
    assert score(NAME, expected, generated) == same


def test_own_patterns_say_where_the_answer_is() -> None:
    params = RegexParserScoringFnParams(parsing_regexes=[r"=> (.*)"], aggregation_functions=[])
    assert score(NAME, "2", "=> 4/2\nbecause of 7", params) == 1


def test_the_last_box_counts() -> None:
    assert last_boxed(r"\boxed{1} and \boxed{\frac{a}{b}}") == r"\frac{a}{b}"
    assert last_boxed(r"$\boxed 7$ apples") == "7"
    assert last_boxed(r"\boxed{1") is None
    assert last_boxed("no box") is None


def test_what_is_no_answer_is_the_rows_fault() -> None:
    assert "must be text or a number" in error(NAME, {"expected_answer": True, "generated_answer": "1"})
    assert "must be text" in error(NAME, {"expected_answer": "1", "generated_answer": 1})
    assert "at most 200,000" in error(NAME, {"expected_answer": "1", "generated_answer": "1" * 200_001})
