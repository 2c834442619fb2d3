"""German Traffic Sign Recognition Benchmark (Stallkamp and others 2012): 43 traffic signs, for testing only."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from harness.errors import DataError
from harness_datasets.image_tree import ImageTree
from harness_datasets.meta_dataset_source import MetaDatasetSource
from harness_datasets.official_class_names import TRAFFIC_SIGN
from harness_datasets.original_archives import folder_tree, lists_there
from harness_datasets.raw_archives import Listing
from harness_datasets.raw_files import RawFolder, look_for
from harness_datasets.source import Find


@dataclass(frozen=True, kw_only=True)
class TrafficSign(MetaDatasetSource):
    """Photographs of 43 traffic signs, RGB, all of them test classes; 30 frames in a row show the same sign.

    Routes: Meta-Dataset's records; `original`, the archive `GTSRB_Final_Training_Images` or the folder `GTSRB`
    unpacked from it.
    """

    name: str = "traffic_sign"

    channels: ClassVar[int] = 3
    splits: ClassVar[tuple[str, ...]] = ("test",)
    official_name: ClassVar[str] = "traffic_sign"
    official_classes: ClassVar[Mapping[str, int]] = {"train": 0, "valid": 0, "test": 43}
    official_images: ClassVar[int] = 39_209
    licence: ClassVar[str] = "for research; its authors ask to be cited"
    how_to_get: ClassVar[str] = "Fetch GTSRB_Final_Training_Images.zip (0.3 GB) from benchmark.ini.rub.de."

    def other_routes(self) -> Mapping[str, Find]:
        """The original archive."""
        return {"original": partial(_find_original, self.name)}


def _find_original(source: str, data_dir: Path) -> ImageTree | None:
    raw = look_for(
        "traffic_sign", data_dir, ("gtsrb_final_training*", "gtsrb"), inside=("Final_Training/Images/00000",)
    )
    if raw is None:
        return None
    return folder_tree(
        source,
        "traffic_sign-1",
        raw,
        inside="Final_Training/Images/",
        folders={f"{number:05}": name for number, name in enumerate(TRAFFIC_SIGN)},
        lists=_listed,
        published=TrafficSign.official_classes,
        images=TrafficSign.official_images,
    )


def _listed(raw: RawFolder, listing: Listing, root: str) -> list[str] | None:
    """Of a table `GT-00000.csv` in each folder, whose column Filename has `00000_00000.ppm`."""
    folders = [f"{number:05}" for number in range(len(TRAFFIC_SIGN))]
    tables = {f"{root}Final_Training/Images/{folder}/GT-{folder}.csv": folder for folder in folders}
    lists = lists_there(raw, listing, list(tables))
    if lists is None:
        return None
    listed = []
    for path, lines in lists.items():
        table = csv.DictReader(lines, delimiter=";")
        if "Filename" not in (table.fieldnames or ()):
            raise DataError(f"{path} in {raw.location} has no column Filename. Fetch the archive again.")
        listed += [f"{tables[path]}/{line['Filename']}" for line in table]
    return listed
