"""A small experiment on a folder of raw images."""

from pathlib import Path

from PIL import Image

from experiments import write_tiny
from harness.config import load_experiment
from harness.node_pools import pools_of
from harness.plan import plan
from harness.pools import ensure_pool
from harness.spec import RunSpec

FOLDER_OF_IMAGES = (
    "Experiment.methods = [@MAML()]",
    "Regime.sources = [@ImageFolder()]",
    "Evaluation.sources = [@ImageFolder()]",
    "ImageFolder.name = 'squares'",
    "ImageFolder.path = 'squares'",
    "ImageFolder.fractions = (0.4, 0.3, 0.3)",
)


def squares(folder: Path) -> None:
    """Twenty classes of raw images."""
    for number in range(20):
        place = folder / "squares" / f"class{number:02d}"
        place.mkdir(parents=True)
        for shade in range(4):
            Image.new("L", (20, 20), 10 * number + shade).save(place / f"{shade}.png")


def run_on_squares(folder: Path) -> RunSpec:
    """A run whose pools are read from raw data in `raw`, prepared in `cache`."""
    raw, cache = folder / "raw", folder / "cache"
    squares(raw)
    experiment, _ = load_experiment(write_tiny(folder, *FOLDER_OF_IMAGES))
    planned = plan(experiment, data_dir=raw, cache=cache)
    for need in planned.pools:
        ensure_pool(need.dataset, need.source, need.split, need.images, data_dir=raw, cache=cache)
    return planned.runs[0]


def keys(run: RunSpec) -> set[str]:
    return {source.pool_key(split, run.images) for source, split in pools_of(run)}
