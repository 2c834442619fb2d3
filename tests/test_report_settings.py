"""What a report says of how its runs were made."""

import pandas as pd
import pytest

from fake_runs import episode_rows
from harness.report import settings
from harness.report.gather import FinishedRun
from harness.results import CONDITIONS


def finished(seed: int, *frames: pd.DataFrame) -> FinishedRun:
    spec = {"method_name": "maml", "trained_on": "glyphs", "seed": seed}
    return FinishedRun(run_id=f"r{seed}", spec=spec, status={}, episodes=pd.concat(frames))


def test_every_condition_of_a_row_is_shown_once() -> None:
    assert {*settings.OF_A_RUN, *settings.OF_DATA} == {*CONDITIONS, "source", "split"}


def test_conditions_have_a_row_for_each_protocol_and_name_the_seeds() -> None:
    frames = episode_rows([0.5, 0.6]), episode_rows([0.4], protocol="meta_dataset")
    found = settings.conditions([finished(0, *frames), finished(3, *frames)])
    assert found.columns[-3:] == ("Episodes", "Protocol version", "Seeds")
    rest = ("maml", "glyphs", "transductive", "best_valid", "10", "28", "float32")
    assert found.rows == ((*rest, "fixed", "2", "0, 3"), (*rest, "meta_dataset", "2", "0, 3"))


def test_conditions_name_the_shares_of_a_meta_batch_where_there_are_several() -> None:
    alone, shared = finished(0, episode_rows([0.5])), finished(1, episode_rows([0.5]))
    alone.spec["compute"] = {"device": "cpu"}
    assert "Shares of a meta-batch" not in settings.conditions([alone]).columns
    shared.spec["compute"] = {"device": "cpu", "training_workers": 2}
    found = settings.conditions([alone, shared])
    assert found.columns[-2:] == ("Shares of a meta-batch", "Seeds")
    assert [row[-2:] for row in found.rows] == [("1", "0"), ("2", "1")]


def test_data_that_differs_has_rows_of_its_own() -> None:
    frames = (
        episode_rows([0.5]),
        episode_rows([0.5], source="dtd", fingerprint="new", max_images_per_class=9),
        episode_rows([0.5], source="dtd", fingerprint="old"),
    )
    assert settings.data([finished(0, *frames)]).rows == (
        ("dtd", "test", "9", "new"),
        ("dtd", "test", settings.DASH, "old"),
        ("glyphs", "test", settings.DASH, "0" * 8),
    )


def test_a_row_with_another_number_of_cells_is_refused() -> None:
    with pytest.raises(ValueError, match="has 3 cells"):
        settings.Table(columns=("a", "b"), rows=(("1", "2"), ("1", "2", "3")))
