"""The grammar of answers to multiple-choice questions."""

from __future__ import annotations

import pytest

from stack.providers.scoring.choice import MAX_HEAD, MAX_TAIL, chosen_letter, letter_of


@pytest.mark.parametrize(
    ("said", "letter"),
    [
        ("Answer: B", "B"),
        ("Answer: b", "B"),
        ("Answer: Because it is cold, I choose C.", "C"),
        ("Answer: A is wrong.\nAnswer: C", "C"),
        ("**Answer:** B", "B"),
        ("Answer: **B**", "B"),
        ("Answer: (B)", "B"),
        ("Answer: $\\boxed{B}$", "B"),
        ("Antwort:\n\nAntwort: C", "C"),
        ("The answer is B.", "B"),
        ("Answer: $B$", "B"),
        ("answer is (b)", "B"),
        ("B.", "B"),
        ("**B**", "B"),
        ("B) text", "B"),
        ("final answer: \\text{C}", "C"),
        ("Option D", "D"),
        ("(A) or (C)? Hmm. Answer: C", "C"),
        ("Let me see.\n\nC", "C"),
        ("Answer\uff1aB", "B"),
        ("The best answer is C", "C"),
        ("So, Answer: B.", "B"),
        ("answer :\xa0d", "D"),
        ("Answer:\u200bJ", "J"),
        ("Antwort: A, nicht B", "A"),
        ("Réponse : D", "D"),
        ("\u7b54\u6848\uff1aC", "C"),
        ("\u7b54\u6848\u3000: \uff22", "B"),
        ("정답: A", "A"),
        ("الإجابة الصحيحة هي: ب", "B"),
        ("উত্তরঃ অ", "A"),
        ("Ìdáhùn: A", "A"),
        ("Jibu: E", "E"),
        ("Answer: K", "K"),
        ("\\boxed{C}", "C"),
        ("Thus \\boxed{\\text{C}}.", "C"),
        ("$$\\boxed{\\textbf{(D)}\\ 12}$$", "D"),
        ("The answer is \\(B\\).", "B"),
        ("The answer is **(B)** because", "B"),
        ("The correct answer is option C.", "C"),
        ("The correct option is D", "D"),
        ("Answer: Option B", "B"),
        ("The answer is not A. The answer is B.", "B"),
        ("The answer is A? No, wait. The answer is D.", "D"),
        ("Answer: A, because B is wrong", "A"),
        ("Answer: A, I think.", "A"),
        ("Answer: I", "I"),
        ("Answer: B is correct", "B"),
        ("B is the correct answer.", "B"),
        ("I would choose (c).", "C"),
        ("Answer: A because it is", "A"),
        ("Answer: B Paris", "B"),
        ("La respuesta correcta es B", "B"),
        ("Respuesta: b", "B"),
        ("La réponse est C.", "C"),
        ("Die richtige Antwort ist D.", "D"),
        ("Die Antwort lautet B", "B"),
        ("答案是B。", "B"),
        ("\u6b63\u786e\u7b54\u6848\u662fB\uff0c\u56e0\u4e3a", "B"),
        ("答えはBです", "B"),
        ("정답은 B입니다", "B"),
        ("A resposta é C", "C"),
        ("La risposta è A", "A"),
        ("La risposta è A perché", "A"),
        ("Jawabannya adalah B", "B"),
        ("Правильный ответ: B", "B"),
        ("सही उत्तर B है", "B"),
        ("\u6545\u9009\uff1aB", "B"),
        ("<answer>B</answer>", "B"),
        ("<answer>\n(b)\n</answer>", "B"),
        ("### Final Answer\n\n**C**", "C"),
        ("_Answer_: _B_", "B"),
        ("__Answer__: __B__", "B"),
        ("`B`", "B"),
        ("[B]", "B"),
        ('{"answer": "B"}', "B"),
        ('Answer: "B"', "B"),
        ("Answer: B) Paris", "B"),
        ("Answer: B. Paris", "B"),
        ("Answer: B: Paris", "B"),
        ("Answer: B - Paris", "B"),
        ("Answer: B \u2013 Paris", "B"),
        ("Answer: (B) Paris", "B"),
        ("The answer to this question is (B).", "B"),
        ("If the answer is A, then no. So the answer is D", "D"),
        ("My answer: A\nCorrection: my answer is D", "D"),
        ("Answer choices: A) x B) y\nThe answer is B", "B"),
        ("ANSWER: C", "C"),
        ("Answer:B", "B"),
        ("Answer is: B", "B"),
        ("answer B", "B"),
        ("Answer: **B**. Paris", "B"),
        ("Answer: **B. Paris**", "B"),
        ("Final Answer: The final answer is $\\boxed{(A)}$. I hope it is correct.", "A"),
        ("The answer is B, not A.", "B"),
        ("The answer is B (not A).", "B"),
        ("The answer is A.\nOption B: wrong. Option C: wrong.", "A"),
        ("I", "I"),
        ("Answer: e", "E"),
        ("Answer: C, definitely", "C"),
        ("Answer: B!", "B"),
        ("The answer is clearly B.", "B"),
        ("Answer: the letter is B", "B"),
        ("So the answer would be D", "D"),
        ("Answer: <B>", "B"),
        ("<b>Answer:</b> <B>C</B>", "C"),
        ("B is the answer.", "B"),
        ("The answer's B", "B"),
        ("\u6b63\u89e3\u306fB\u3067\u3059", "B"),
    ],
)
def test_the_last_announcement_counts_in_any_form(said: str, letter: str) -> None:
    assert chosen_letter(said) == letter


@pytest.mark.parametrize(
    "said",
    [
        "Answer: Because it is cold.",
        "Answer: I think so",
        "Answer: A is wrong.",
        "",
        "Answer: none",
        "The answer: maybe",
        "Answer: A or B",
        "Answer: C#",
        "Answer: C++",
        "Answer: C# is a language",
        "A is the answer to everything",
        "Answer: A, B",
        "Answer: A/B",
        "Answer: A and C",
        "Answer: a dog",
        "Answer: A dog",
        "The answer is a matter of taste",
        "Answer: C-section",
        "Answer: B12",
        "Answer: A.M.",
        "Answer: e.g. a dog",
        "Answer: A's",
        "Answer: C++",
        "A. Paris\nB. Rome\nC. London",
        "The wrong answer is B",
        "I think it could be anything",
        "A good question.",
        "Answer: A good one",
        "Answer: Both A and B",
        "Answer: None of the above",
        "Answer: É",
        "Answer: Äpfel",
        "Answer: Bären",
        "Answer: B?",
        "Answer: \uff22\uff23",
        "It's B.",
    ],
)
def test_a_word_a_statement_or_several_letters_choose_nothing(said: str) -> None:
    assert chosen_letter(said) is None


@pytest.mark.parametrize("expected", ["B", "b", "(B)", "B.", "B) Paris", "**B**", "\uff22", "ব"])
def test_the_expected_letter_may_be_written_in_any_form(expected: str) -> None:
    assert letter_of(expected) == "B"


def test_an_expected_word_is_not_a_letter() -> None:
    assert letter_of("Because") is None
    assert letter_of("") is None


def test_a_long_text_is_read_at_both_ends() -> None:
    filling = "and then I looked at option A again. " * 10_000
    assert chosen_letter(f"Answer: C\n{filling}") == "C"
    assert chosen_letter(f"Answer: C\n{filling}\nAnswer: D") == "D"
    assert chosen_letter("x" * MAX_HEAD + "\nAnswer: B\n" + "x" * (MAX_TAIL * 2)) is None
