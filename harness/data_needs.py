"""What `harness data` is asked about: sources by name, or experiment files -> the pools to look after."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness import plugins
from harness.control.experiment import ControlExperiment
from harness.dataset import Dataset
from harness.errors import (
    ConfigError,
    DataError,
    MissingDataError,
    PlanError,
    PluginError,
    did_you_mean,
    named_choices,
)
from harness.experiment import Experiment, Images
from harness.parameters import check_choice
from harness.plan import PoolNeed, image_spec, plan
from harness.planned_sources import PlannedSources, datasets_of, episodes_of
from harness.resizing import RESIZES
from harness.spec import ImageSpec


@dataclass(frozen=True, kw_only=True)
class DataRequest:
    """What the command line asks for.

    names: sources, or experiment files. only: of an experiment, this source alone. place: the very file or
    folder of the one source asked for, instead of `data_dir`. bindings: for experiment files. size, resize:
    for sources named directly; None for the defaults. limit: max_images_per_class, None for the source's own.
    """

    names: Sequence[str]
    bindings: Sequence[str] = ()
    only: str | None = None
    place: Path | None = None
    size: int | None = None
    resize: str | None = None
    limit: int | None = None
    data_dir: Path | None
    cache: Path

    @property
    def raw(self) -> Path | None:
        """Where the raw data is looked for."""
        return self.data_dir if self.place is None else self.place


def pool_needs(request: DataRequest) -> list[PoolNeed]:
    """The pools that are asked for, without those of splits that have no classes.

    Raises ConfigError for a request that contradicts itself, PlanError with every source whose raw data is not
    there and that has no pools, or is damaged.
    """
    if request.resize is not None:
        check_choice("--resize", request.resize, RESIZES)
    if request.place is not None and not request.place.exists():
        raise ConfigError(f"--from names {request.place}, which is not there: name a file or folder.")
    wanted = [item for name in request.names for item in _wanted(name, request)]
    if request.place is None:
        check_data_dir(request.data_dir)
    if request.place is not None and len({dataset.name for dataset, _, _ in wanted}) > 1:
        raise ConfigError(
            "--from is the place of one source: name one SOURCE, or one of an experiment's with --only."
        )
    problems: dict[str, str] = {}
    missing: list[str] = []
    needs: dict[str, PoolNeed] = {}
    for dataset, split, images in wanted:
        sources = PlannedSources(
            data_dir=request.raw, cache=request.cache, images=images, strict=request.place is not None
        )
        try:
            spec = sources.spec(dataset)
            if not len(sources.content(dataset, split).sizes):
                continue
        except DataError as error:
            problems.setdefault(dataset.name, str(error))
            missing += [dataset.name] if isinstance(error, MissingDataError) else []
            continue
        need = PoolNeed(dataset=dataset, source=spec, split=split, images=images)
        needs[need.key] = need
    if problems:
        raise PlanError(list(problems.values()), missing=list(dict.fromkeys(missing)))
    return list(needs.values())


def check_data_dir(data_dir: Path | None) -> None:
    """Raise ConfigError for a folder of raw data that is not there: pools would stand in for it unseen."""
    if data_dir is not None and not data_dir.exists():
        raise ConfigError(
            f"--data (or HARNESS_DATA) names {data_dir}, which is not there: name the folder of raw data."
        )


def with_defaults(group: str, name: str) -> Any:
    """An instance of the plugin with its default parameters. Raises PluginError when some have no default."""
    plugin = plugins.load(group, name)
    missing = dataclasses.MISSING
    needed = [
        field.name
        for field in dataclasses.fields(plugin)
        if field.init and field.default is missing and field.default_factory is missing
    ]
    if needed:
        raise PluginError(
            f"The {plugins.WORDS[group]} {name!r} has no default for {named_choices(needed)}, so it cannot be "
            "made from its name alone: give each a default, or name an experiment file that sets them."
        )
    return plugin()


def sources_of(name: str, bindings: Sequence[str] = ()) -> list[Dataset]:
    """The source called `name`, or every source of the experiment file `name`, each once."""
    if not name.endswith(".gin"):
        return [with_defaults(plugins.DATASETS, name)]
    return list({dataset.name: dataset for dataset in datasets_of(_experiment(name, bindings))}.values())


def _wanted(name: str, request: DataRequest) -> Iterator[tuple[Dataset, str, ImageSpec]]:
    if name.endswith(".gin"):
        yield from _of_experiment(_experiment(name, request.bindings), name, request)
        return
    if request.only is not None:
        raise ConfigError(
            f"--only picks a source of an experiment file, and {name!r} is a source: leave it out."
        )
    dataset = _limited(with_defaults(plugins.DATASETS, name), request.limit)
    defaults = Images()
    images = ImageSpec(
        size=request.size or defaults.size,
        channels=dataset.channels,
        scaling=defaults.scaling,
        resize=request.resize or defaults.resize,
    )
    for split in dataset.splits:
        yield dataset, split, images


def _of_experiment(
    experiment: Experiment, name: str, request: DataRequest
) -> Iterator[tuple[Dataset, str, ImageSpec]]:
    if request.size or request.resize or request.limit:
        raise ConfigError(
            f"--size, --resize and --max-images-per-class are for sources; {name} says its own. Use --set."
        )
    names = {dataset.name for dataset in datasets_of(experiment)}
    if request.only is not None and request.only not in names:
        raise ConfigError(
            f"{name} has no source {request.only!r}.{did_you_mean(request.only, names)} It has {named_choices(names)}."
        )
    if request.only is None:
        for need in _pools(experiment, name, request):
            yield need.dataset, need.split, need.images
        return
    images = image_spec(experiment)
    for dataset, split, _, _ in episodes_of(experiment):
        if dataset.name == request.only and split in dataset.splits:
            yield dataset, split, images


def _pools(experiment: Experiment, name: str, request: DataRequest) -> tuple[PoolNeed, ...]:
    """Those of its runs, and of the trials of its search."""
    planned = plan(experiment, data_dir=request.raw, cache=request.cache)
    if experiment.search is None:
        return planned.pools
    from harness.search.planned import plan_search
    from harness.search.trial_experiment import trial_experiment

    return plan_search(
        experiment.search,
        planned,
        partial(trial_experiment, Path(name), request.bindings),
        data_dir=request.raw,
        cache=request.cache,
    ).pools


def _experiment(name: str, bindings: Sequence[str]) -> Experiment:
    from harness.config import load_experiment

    experiment = load_experiment(Path(name), bindings)[0]
    if isinstance(experiment, ControlExperiment):
        raise ConfigError(
            f"{name} is about control tasks, which have no data to prepare: `harness run {name}` begins at once."
        )
    return experiment


def _limited(dataset: Any, limit: int | None) -> Any:
    if limit is None:
        return dataset
    if "max_images_per_class" not in {field.name for field in dataclasses.fields(dataset)}:
        raise ConfigError(f"The source {dataset.name!r} has no limit of images a class: leave it out.")
    return dataclasses.replace(dataset, max_images_per_class=limit)
