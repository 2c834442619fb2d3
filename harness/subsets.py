"""Sources of which less is there than was published: numbers measured on them are not comparable."""

from collections.abc import Iterable, Iterator

from harness.dataset import Dataset
from harness.errors import DataError
from harness.planned_sources import PlannedSources


def subsets(sources: PlannedSources, datasets: Iterable[Dataset]) -> Iterator[str]:
    """A clause for each source, such as `dtd: 10 of 47 published classes, 1,200 of 5,640 published images`.

    Nothing is said of a source that does not say what was published, nor where it cannot be told what is there.
    """
    for dataset in {dataset.name: dataset for dataset in datasets}.values():
        try:
            sizes = [sources.content(dataset, split).sizes for split in dataset.splits]
        except DataError:
            continue
        found = lacking(dataset, sum(map(len, sizes)), sum(int(split.sum()) for split in sizes))
        if found:
            yield f"{dataset.name}: {found}"


def lacking(dataset: Dataset, classes: int, images: int) -> str:
    """What there is of what was published, such as `10 of 47 published classes`; empty where nothing is missing."""
    published = sum(getattr(dataset, "official_classes", {}).values())
    of_images = getattr(dataset, "official_images", 0)
    # A limit is asked for, and in every row.
    limited = getattr(dataset, "max_images_per_class", None) is not None
    parts = [f"{classes:,} of {published:,} published classes"] * (classes < published)
    parts += [f"{images:,} of {of_images:,} published images"] * (images < of_images and not limited)
    return ", ".join(parts)
