"""Sources on which there is little to lose are named beside the verdicts."""

import pandas as pd

from fake_runs import episode_rows
from harness.report.reuse_floor import near_guessing


def test_where_everything_is_close_to_guessing_is_said() -> None:
    frames = [
        episode_rows([level] * 20, method=method, source=source)
        for method in ("maml", "anil")
        for source, level in (("glyphs", 0.8), ("far", 0.25), ("farther", 0.21))
    ]
    episodes = pd.concat(frames).assign(ways=5)
    rows = pd.DataFrame({"b": ["maml"] * 3, "source": ["glyphs", "far", "farther"]})
    said = near_guessing(episodes, rows)
    assert said is not None
    assert "maml is less than 10 points above guessing on farther (21.0 %), far (25.0 %)." in said.text
    assert near_guessing(episodes, rows[rows["source"] == "glyphs"]) is None
    many = episodes.assign(ways=50, accuracy=0.13)
    assert near_guessing(many, rows) is None, "chance is that of the episode's own number of ways"
