import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from fake_runs import episode_rows
from harness.report.blocks import Block, Said, Section
from harness.report.terminal import answer_lines, leaderboard_table
from harness.statistics import leaderboard


def shown(board: pd.DataFrame, width: int = 80) -> str:
    console = Console(width=width, color_system="standard", force_terminal=True, legacy_windows=False)
    with console.capture() as capture:
        console.print(leaderboard_table(board))
    return capture.get()


def board_of(methods: int, sources: int, regimes: int = 1) -> pd.DataFrame:
    frames = [
        episode_rows(
            [0.5 + 0.01 * m, 0.6], method=f"method_{m}", source=f"source_{s}", trained_on=f"regime_{r}"
        )
        for m in range(methods)
        for s in range(sources)
        for r in range(regimes)
    ]
    return leaderboard(pd.concat(frames, ignore_index=True))


@pytest.mark.parametrize("size", [(1, 1), (3, 4), (3, 9), (12, 10), (4, 4, 3), (12, 2), (2, 12, 2)])
def test_the_terminal_table_fits_in_80_columns_whole(size):
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown(board_of(*size)))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text
    assert text.count(" ± ") - 1 == int(np.prod(size))
    for m in range(size[0]):
        assert f"method_{m}" in text


def test_the_best_of_a_source_is_bold():
    best = [line for line in shown(board_of(3, 2)).splitlines() if re.search(r"\x1b\[1m *5", line)]
    assert len(best) == 1
    assert "method_2" in best[0]


def test_an_empty_board_says_so():
    assert "No run has finished" in shown(leaderboard(episode_rows([])))


def test_the_verdicts_are_a_line_each():
    said = (Said("anil against maml", "reuse holds on glyphs."), Said("", "Nothing else."))
    answer = Section(title="Is it reuse?", note="", blocks=(Block(title="Trained on glyphs", said=said),))
    assert answer_lines(answer) == [
        "Trained on glyphs, anil against maml: reuse holds on glyphs.",
        "Trained on glyphs: Nothing else.",
    ]
    assert answer_lines(None) == []
