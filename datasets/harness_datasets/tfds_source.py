"""A source of your own choice: any data set of images in classes that tensorflow-datasets (TFDS) can prepare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from harness.errors import ConfigError, MissingDataError
from harness_datasets.class_split import ClassSplit
from harness_datasets.source import Find, RoutedSource
from harness_datasets.tfds_prepared import Prepared, builder_parts
from harness_datasets.tfds_preparing import prepare_tfds
from harness_datasets.tfds_route import TfdsData, find_tfds

USUAL_PARTS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class TFDS(ClassSplit, RoutedSource):  # type: ignore[override]  # `splits` follows from the parameters
    """A prepared TFDS data set: TFRecord or ArrayRecord, in the data folder or in `tfds` below it.

    Images of all its TFDS splits named are merged and the classes split, all for testing unless `ClassSplit`'s
    parameters say otherwise. Classes are called as the labels are; a label without images is no class.

    Args:
        builder: the TFDS builder, as in "cifar10", "imagenet_resized/32x32" or, for one version, "cifar10:3.0.2".
        name: the source's name.
        channels: 3 (RGB) or 1 (grey); tensorflow converts what is stored otherwise.
        image, label: the features that hold the image and its class.
        tfds_splits: the TFDS splits to merge; None: those of `train`, `validation` and `test` that it has.
        invert: turn values over, for dark ink on white.

    Raises ConfigError for a parameter out of range.
    """

    builder: str
    name: str = "tfds"
    channels: int = 3  # type: ignore[misc]
    image: str = "image"
    label: str = "label"
    tfds_splits: Sequence[str] | None = None
    invert: bool = False

    licence: ClassVar[str] = "that of the data set: see its page in the catalogue of tensorflow-datasets"
    how_to_get: ClassVar[str] = (
        "TFDS.builder names a data set: prepare it with `tfds build NAME --data_dir DIR/tfds`, where there is a "
        "network."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_split_parameters()
        if self.channels not in (1, 3):
            raise ConfigError(f"TFDS.channels must be 1 (grey) or 3 (RGB); got {self.channels!r}.")
        builder_parts(self.builder)
        parts = self.tfds_splits
        if parts is None:
            return
        if isinstance(parts, str) or not parts or not all(isinstance(part, str) for part in parts):
            raise ConfigError(
                f"TFDS.tfds_splits must be a list of names of TFDS splits, as in ('train', 'test'); got {parts!r}."
            )
        if len(set(parts)) != len(parts):
            raise ConfigError(f"TFDS.tfds_splits names a split twice: {parts!r}. Name each once.")

    def routes(self) -> Mapping[str, Find]:
        """One form: a prepared data set."""
        return {"tfds": self._find}

    def find(self, data_dir: Path | None) -> TfdsData:
        """The prepared data set. Raises MissingDataError where it is not there."""
        found = None if data_dir is None else self._find(data_dir)
        if found is None:
            named = data_dir is not None
            looked = (
                f"looked in {data_dir} and its folder tfds for a prepared one"
                if named
                else "no folder of raw data was named"
            )
            raise MissingDataError(
                f"The TFDS data set {self.builder!r} of source {self.name!r} is not there: {looked}. Prepare it with "
                f"`tfds build {self.builder} --data_dir DIR/tfds`, where there is a network, and name DIR with "
                "`--data DIR` or HARNESS_DATA."
            )
        return found

    def download(self, data_dir: Path, manual_dir: Path | None) -> Path:
        """Fetch and prepare it in `<data_dir>/tfds`; returns the folder of the version. See `prepare_tfds`."""
        return prepare_tfds(self.builder, data_dir, manual_dir)

    def _find(self, data_dir: Path) -> TfdsData | None:
        lists = data_dir if data_dir.is_dir() else data_dir.parent
        return find_tfds(
            data_dir,
            self.builder,
            parts=self._parts,
            split_classes=lambda names: self.split_classes(
                names, lists, f"The TFDS data set {self.builder!r}"
            ),
            image=self.image,
            label=self.label,
            channels=self.channels,
            invert=self.invert,
        )

    def _parts(self, prepared: Prepared) -> Sequence[str]:
        if self.tfds_splits:
            return self.tfds_splits
        return [part for part in USUAL_PARTS if part in prepared.splits] or prepared.splits
