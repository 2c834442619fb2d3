"""Published results, as facts beside one's own: never measured here, never paired, never ranked with what was.

`meta_dataset`: the leaderboard of Meta-Dataset (Triantafillou et al. 2020, arXiv 1903.03096), ± the 95 % interval over
600 episodes. `anil_paper`: Raghu et al. 2020 (arXiv 1909.09157), ± the standard deviation over three trainings;
`nil_of_maml` and those after it are NIL's read-out on other trainings.

The others are what the papers of the methods (finetune and knn: Ravi & Larochelle) have for Omniglot and
miniImageNet, 5-way, with four convolutions; where there are several, that which is nearest to how the method is
trained here, see `note`. Not all were read in the papers themselves: some in the tables of later papers and in
the authors' code. Many do not say what their ± is of.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

COLUMNS = {
    "paper": "string",
    "trained_on": "string",
    "method": "string",
    "source": "string",
    "n_way": "Int64",  # empty where it varies, or means nothing
    "shots": "Int64",
    "value": "float64",  # accuracy in percent, return, or what `unit` says; empty where only a figure was published
    "plus_minus": "float64",
    "spread": "string",  # what plus_minus is, see SPREADS
    "n_trainings": "Int64",  # over which plus_minus deviates; empty for none
    "unit": "string",  # `percent`, `return`, `hundredths` of a similarity, or `times` as fast
    "note": "string",  # in what it is unlike what its column says; empty for nothing known
    "quantity": "string",  # empty for accuracy and return, else see `papers.analysis_tables`
    "bound": "string",  # `above` or `below` where the text says that and no number; else empty
}

PAPERS = {
    "meta_dataset": "Meta-Dataset's leaderboard (arXiv 1903.03096)",
    "anil_paper": "Raghu et al. 2020 (arXiv 1909.09157)",
    "finn_2017": "Finn et al. 2017 (arXiv 1703.03400)",
    "nichol_2018": "Nichol et al. 2018 (arXiv 1803.02999)",
    "oh_2021": "Oh et al. 2021 (arXiv 2008.08882)",
    "antoniou_2019": "Antoniou et al. 2019 (arXiv 1810.09502)",
    "li_2017": "Li et al. 2017 (arXiv 1707.09835)",
    "rajeswaran_2019": "Rajeswaran et al. 2019 (arXiv 1909.04630)",
    "snell_2017": "Snell et al. 2017 (arXiv 1703.05175)",
    "vinyals_2016": "Vinyals et al. 2016 (arXiv 1606.04080)",
    "sung_2018": "Sung et al. 2018 (arXiv 1711.06025)",
    "bertinetto_2019": "Bertinetto et al. 2019 (arXiv 1805.08136)",
    "chen_2019": "Chen et al. 2019 (arXiv 1904.04232)",
    "ravi_2017": "Ravi & Larochelle 2017 (ICLR)",
}

SPREADS = {
    "ci95": "the 95 % interval over episodes",
    "seeds_sd": "deviation over trainings",
    "unknown": "something that was not said",
}

TRAINED = {
    ("anil_paper", "omniglot"): "60,000 updates of 16 tasks in the code it built on, 28 px, 3 seeds",
    (
        "anil_paper",
        "miniimagenet",
    ): "60,000 updates of 4 tasks in the code it built on, 84 px, 3 seeds, 60,000 images",
    ("finn_2017", "omniglot"): "60,000 updates of 32 tasks, 28 px",
    ("finn_2017", "miniimagenet"): "60,000 updates of 4 tasks, 84 px, 60,000 images",
    ("meta_dataset", ""): "75,000 updates of one task; networks, image sizes and pre-training by a search",
}
"""(paper, source or empty for all) -> the training, where it is known."""


def published_numbers(paper: str | None = None) -> pd.DataFrame:
    """Of one of PAPERS, or of all; columns COLUMNS."""
    frame = pd.read_csv(Path(__file__).with_suffix(".csv"), dtype=dict(COLUMNS)).fillna(
        {"note": "", "quantity": "", "bound": ""}
    )
    return frame if paper is None else frame[frame["paper"] == paper].reset_index(drop=True)


def published_text(row: Mapping[str, Any]) -> str:
    """A row's `48.70 ± 1.84`: as many decimals as were printed, one at least; without ± where none was printed."""
    value, spread = float(row["value"]), row["plus_minus"]
    if pd.isna(value):
        return "a figure only"
    if row["bound"]:
        return f"{row['bound']} {value:g} (text)"
    printed = [f"{value:g}"] if pd.isna(spread) else [f"{value:g}", f"{spread:g}"]
    places = max(1, *(len(text.partition(".")[2]) for text in printed))
    return f"{value:.{places}f}" if pd.isna(spread) else f"{value:.{places}f} ± {spread:.{places}f}"
