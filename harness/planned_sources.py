"""The sources of an experiment while it is planned: their specs, class sizes and groups, each looked up once."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness import plugins, pools
from harness.dataset import Dataset, class_groups, native_size
from harness.episode import Shape
from harness.errors import DataError, MissingDataError
from harness.experiment import Experiment
from harness.pool_status import find_prepared
from harness.pools import Pool
from harness.sampling import shape_problems
from harness.spec import ImageSpec, SourceSpec, canonical

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SplitContent:
    """What planning must know of one split: class sizes, and its groups as class numbers (None without)."""

    sizes: IntArray
    kind: str | None
    groups: list[IntArray] | None


@dataclass
class PlannedSources:
    """Looks sources up in the raw data, or in the pools where the raw data is not there any more.

    Raw data that is there and damaged is an error, whatever pools there are. strict: so is raw data that is not
    there, as where its very place was named. from_pools: names of the sources that were found among the pools alone.
    """

    data_dir: Path | None
    cache: Path
    images: ImageSpec
    strict: bool = False
    from_pools: set[str] = field(default_factory=set)
    specs: dict[str, SourceSpec] = field(default_factory=dict)
    failed: dict[str, DataError] = field(default_factory=dict)
    contents: dict[tuple[str, str], SplitContent] = field(default_factory=dict)

    def spec(self, dataset: Dataset) -> SourceSpec:
        """Raises DataError when the source can neither be read nor found among the pools."""
        component = plugins.describe(plugins.DATASETS, dataset)
        key = identity(component)
        if key in self.failed:
            raise self.failed[key]
        if key not in self.specs:
            try:
                fingerprint = dataset.fingerprint(self.data_dir)
            except DataError as error:
                gone = isinstance(error, MissingDataError) and not self.strict
                found = find_prepared(self.cache, component) if gone else None
                if found is None:
                    self.failed[key] = error
                    raise
                fingerprint = found
                self.from_pools.add(dataset.name)
            self.specs[key] = SourceSpec(
                name=dataset.name,
                component=component,
                fingerprint=fingerprint,
                native_size=native_size(dataset),
            )
        return self.specs[key]

    def is_missing(self, dataset: Dataset) -> bool:
        """Whether its raw data was looked for in vain."""
        key = identity(plugins.describe(plugins.DATASETS, dataset))
        return isinstance(self.failed.get(key), MissingDataError)

    def content(self, dataset: Dataset, split: str) -> SplitContent:
        """The classes of a split. Raises DataError when they can neither be read nor found among the pools."""
        spec = self.spec(dataset)
        key = (identity(spec.component), split)
        if key not in self.contents:
            try:
                self.contents[key] = _read_content(dataset, split, self.data_dir)
            except MissingDataError:
                try:
                    pool = pools.open_pool(self.cache, spec.pool_key(split, self.images))
                except DataError:
                    pool = None
                if pool is None:
                    raise
                self.contents[key] = _pool_content(pool)
        return self.contents[key]

    def episode_problems(self, dataset: Dataset, split: str, shape: Shape, why: str) -> list[str]:
        """Why episodes of `shape` cannot be drawn from that split; empty when they can."""
        if split not in dataset.splits:
            has = " and ".join(dataset.splits) or "none"
            return [f"The source {dataset.name!r} has no {split} split, needed {why}; it has {has}."]
        try:
            content = self.content(dataset, split)
        except DataError as error:
            return [str(error)]
        where = f"{dataset.name}/{split} ({why})"
        return shape_problems(where, content.sizes, shape, groups=content.groups, kind=content.kind)


def _read_content(dataset: Dataset, split: str, data_dir: Path | None) -> SplitContent:
    sizes = dict(dataset.class_sizes(split, data_dir))
    number = {name: c for c, name in enumerate(sizes)}
    groups = class_groups(dataset, split, data_dir)
    return SplitContent(
        sizes=np.array(list(sizes.values()), dtype=np.int64),
        kind=groups.kind if groups else None,
        groups=[np.array([number[n] for n in names]) for names in groups.members.values()]
        if groups
        else None,
    )


def _pool_content(pool: Pool) -> SplitContent:
    groups = pool.groups
    return SplitContent(
        sizes=pool.class_sizes,
        kind=groups.kind if groups else None,
        groups=list(groups.members) if groups else None,
    )


def datasets_of(experiment: Experiment) -> Iterator[Dataset]:
    """Every source that the experiment names, as often as it does."""
    for dataset, _, _, _ in episodes_of(experiment):
        yield dataset


def episodes_of(experiment: Experiment) -> Iterator[tuple[Dataset, str, Shape, str]]:
    """(source, split, shape, what for) of every kind of episode in the experiment."""
    for regime in experiment.regimes:
        for dataset in regime.sources:
            yield dataset, "train", regime.shape, "to train"
        for dataset in regime.validated_on:
            yield dataset, "valid", regime.validation_shape or regime.shape, "to validate"
    for evaluation in experiment.evaluations:
        for dataset in evaluation.sources:
            yield dataset, evaluation.split, evaluation.shape, "to evaluate"


def identity(value: Any) -> str:
    """`value` as text that is equal whenever the meaning is equal."""
    return json.dumps(canonical(value), sort_keys=True)
