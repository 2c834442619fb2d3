"""Meta-Dataset's own TFDS data sets, `meta_dataset/<source>`, which its package `md_tfds` prepares.

Written from the public code of google-research/meta-dataset (meta_dataset/data/tfds, version 1.0.0 of the builder):
one configuration a source, one TFDS split `all_classes`, the features `image` (JPEG, RGB; Omniglot's ink inverted
already), `label` (the class id of the first version's specification, without names), `class_name`, `filename` and
`format`; the specifications themselves in `metadata.json` under `dataset_specs`, `v1` and `v2`. It has been tried on
data sets of that layout which the tests prepare with tensorflow-datasets, not on data that the package prepared.

The package is not needed to read what it has prepared, and nothing here prepares it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.dataset import SPLITS, ClassGroups, ClassImages
from harness.errors import DataError
from harness_datasets.meta_dataset_spec import MetaDatasetSpec, read_spec
from harness_datasets.source import Rows
from harness_datasets.tfds_prepared import find_prepared
from harness_datasets.tfds_route import TfdsData

PART = "all_classes"
VERSION = "v1"
"""The specification of the paper; `v2` is that of VTAB+MD, which has other splits."""


@dataclass(frozen=True, kw_only=True)
class MdTfds:
    """One source as Meta-Dataset's TFDS builder has prepared it (`source.RawData`).

    It serves as `records.Records` does: it has a specification, and never drawn stand-ins.
    """

    data: TfdsData
    spec: MetaDatasetSpec
    digest: str
    stand_in: bool = False

    @property
    def location(self) -> Path:
        """The folder of the prepared version."""
        return self.data.location

    def fingerprint(self) -> str:
        """Of the prepared data and of the specification."""
        both = f"{self.data.fingerprint()} {self.digest}"
        return f"md-{hashlib.sha256(both.encode()).hexdigest()[:16]}"

    def class_sizes(self, split: str) -> Mapping[str, int]:
        """Class -> number of images, in class order, as the specification says. Raises DataError unless so many
        are there."""
        sizes = self.spec.class_sizes(split)
        found = self.data.class_sizes(split)
        for name, size in sizes.items():
            if found.get(name, 0) != size:
                raise DataError(
                    f"{self.location} has {found.get(name, 0)} images of class {name!r}, and the specification in its "
                    f"metadata.json says {size}. Prepare {self.data.prepared.builder} again."
                )
        return sizes

    def class_groups(self, split: str) -> ClassGroups | None:
        """Omniglot's alphabets, the nodes of ImageNet's graph; None for the flat sources."""
        return self.spec.class_groups(split)

    def read(self, split: str, wanted: Mapping[str, Rows]) -> Iterator[ClassImages]:
        """Yield the wanted images of each class, in the order in which they were prepared."""
        return self.data.read(split, wanted)

    def read_classes(self, wanted: Mapping[str, Rows]) -> Iterator[ClassImages]:
        """As `read`, with classes of any splits, whose names all differ."""
        return self.data.read(PART, wanted)


def find_md_tfds(data_dir: Path, source: str, *, channels: int = 3) -> MdTfds | None:
    """`meta_dataset/<source>`, prepared in `data_dir` or in `tfds` below it; None where it is not there.

    channels: 1 for the grey sources, Omniglot and Quick, Draw!.
    Raises DataError for a data set without the features or the specification of such a one.
    """
    prepared = find_prepared(data_dir, f"meta_dataset/{source}")
    if prepared is None:
        return None
    where = f"the specification {VERSION!r} in metadata.json of {prepared.folder}"
    metadata = prepared.metadata()
    specs = metadata.get("dataset_specs")
    if not isinstance(specs, dict) or not isinstance(specs.get(VERSION), dict):
        raise DataError(
            f"{prepared.folder} lacks {where}: it was not prepared by Meta-Dataset's builder. Prepare it again."
        )
    text = json.dumps(specs[VERSION], sort_keys=True)
    spec = read_spec(text, where.capitalize())
    labels = len(prepared.label_names("label"))
    if spec.name != source or labels != len(spec.names):
        raise DataError(
            f"{where.capitalize()} is of {spec.name!r} with {len(spec.names)} classes, but the data set is of "
            f"{source!r} with {labels}. Prepare it again."
        )
    prepared.check_image("image")
    prepared.shards_of((PART,))
    data = TfdsData(
        prepared=prepared,
        parts=(PART,),
        image="image",
        label="label",
        classes={spec.names[number]: number for number in range(labels)},
        splits={split: spec.class_names(split) for split in SPLITS},
        channels=channels,
    )
    return MdTfds(data=data, spec=spec, digest=hashlib.sha256(text.encode()).hexdigest())
