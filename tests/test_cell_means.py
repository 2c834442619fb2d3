import numpy as np
import pandas as pd
import pytest

from harness.cell_means import MEAN_COLUMNS, cell_means
from harness.nested import half_width, nested_mean


def frame_of(*cells):
    """Rows of (key, seed, values)."""
    parts = [pd.DataFrame({"key": key, "seed": seed, "value": values}) for key, seed, values in cells]
    return pd.concat(parts, ignore_index=True).astype({"key": "string"})


def test_every_cell_is_what_the_mean_of_its_values_is():
    rng = np.random.default_rng(0)
    cells = [("many", seed, rng.normal(seed / 10, 1, 7 + seed)) for seed in range(3)]
    cells += [("one seed", 4, rng.normal(0, 1, 9)), ("short", 0, [1.0]), ("short", 1, [2.0])]
    cells += [("same", 0, [0.25, 0.25]), ("same", 1, [0.25, 0.25]), ("single", 0, [3.0])]
    frame = frame_of(*cells)
    found = cell_means(frame, ["key"]).set_index("key")
    for key, own in frame.groupby("key"):
        wanted = nested_mean(own["value"].to_numpy(), own["seed"].to_numpy())
        assert found.loc[key, "mean"] == pytest.approx(wanted.mean)
        assert found.loc[key, "ci95"] == pytest.approx(half_width(wanted), nan_ok=True)
        assert tuple(found.loc[key, ["n_episodes", "n_seeds"]]) == (wanted.n_episodes, wanted.n_seeds)


def test_values_that_are_missing_are_left_out_and_categories_become_texts():
    frame = frame_of(("a", 0, [1.0, np.nan, 3.0]), ("b", 0, [np.nan]))
    found = cell_means(frame.astype({"key": "category"}), ["key"])
    assert tuple(found.columns) == ("key", *MEAN_COLUMNS)
    assert found["key"].tolist() == ["a"]
    assert found["key"].dtype == "string"
    assert (found["mean"].item(), found["n_episodes"].item()) == (2.0, 2)


def test_empty_keys_are_cells_too():
    frame = frame_of(("a", 0, [1.0, 2.0])).assign(step=pd.array([1, None], dtype="Int64"))
    assert len(cell_means(frame, ["key", "step"])) == 2
    assert cell_means(frame[:0], ["key", "step"]).empty
