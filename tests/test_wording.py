"""Generated sentences are English, for one as for many."""

import pandas as pd
import pytest

from harness.report.blocks import Block, Said, Section
from harness.report.reuse_floor import LEAD
from harness.report.reuse_text import specialisation_said
from harness.report.terminal import answer_lines
from harness.wording import counted


def test_a_number_and_its_noun_agree() -> None:
    assert [counted(n, "run") for n in (0, 1, 2, 12_000)] == ["0 runs", "1 run", "2 runs", "12,000 runs"]


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ("a", "on the only source (a)"),
        ("ab", "on both sources (a, b)"),
        ("abc", "on all 3 sources (a, b, c)"),
    ],
)
def test_all_of_two_are_both(sources: str, said: str) -> None:
    rows = pd.DataFrame({"source": list(sources), "mean": 1.0, "ci95": 0.5})
    assert said in specialisation_said("maml", rows).text


def test_a_warning_goes_on_the_sentence_that_it_stands_in() -> None:
    said = (Said(LEAD, "maml is near."), Said("ANIL against MAML", "reuse holds."))
    blocks = (Block(title="Trained on glyphs", said=said), Block(said=said[:1]))
    answer = Section(title="Reuse", note="", blocks=blocks)
    assert answer_lines(answer) == [
        "Trained on glyphs, close to guessing: maml is near.",
        "Trained on glyphs, ANIL against MAML: reuse holds.",
        "Close to guessing: maml is near.",
    ]
