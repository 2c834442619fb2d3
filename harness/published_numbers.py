"""Published results, as facts beside one's own: never measured here, never paired, never ranked with what was.

`meta_dataset`: the leaderboard of Meta-Dataset (Triantafillou et al. 2020, arXiv 1903.03096), ± the 95 % interval over
600 episodes. `anil_paper`: Raghu et al. 2020 (arXiv 1909.09157), ± the standard deviation over
three trainings; `nil_of_maml` and those after it are NIL's read-out on other trainings.
"""

from pathlib import Path

import pandas as pd

COLUMNS = {
    "paper": "string",
    "trained_on": "string",
    "method": "string",
    "source": "string",
    "n_way": "Int64",  # empty where it varies, or means nothing
    "shots": "Int64",
    "value": "float64",  # accuracy in percent, or return
    "plus_minus": "float64",
    "spread": "string",  # what plus_minus is: `ci95` over episodes, or `seeds_sd`
    "unit": "string",  # `percent` or `return`
}

PAPERS = {
    "meta_dataset": "Meta-Dataset's leaderboard (arXiv 1903.03096)",
    "anil_paper": "Raghu et al. 2020 (arXiv 1909.09157)",
}


def published_numbers(paper: str | None = None) -> pd.DataFrame:
    """Of one of PAPERS, or of all; columns COLUMNS."""
    frame = pd.read_csv(Path(__file__).with_suffix(".csv"), dtype=dict(COLUMNS))
    return frame if paper is None else frame[frame["paper"] == paper].reset_index(drop=True)
