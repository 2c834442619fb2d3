"""miniImageNet (Vinyals and others 2016, splits of Ravi and Larochelle 2017): 100 classes of ImageNet at 84x84."""

import csv
import io
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from harness.errors import DataError
from harness_datasets.class_folders import check_listed
from harness_datasets.image_arrays import ClassRows, ImageArrays, member_checksums, members
from harness_datasets.image_files import is_image
from harness_datasets.image_tree import ImageTree
from harness_datasets.raw_archives import Listing
from harness_datasets.raw_files import RawFolder, Rows, look_for
from harness_datasets.safe_pickle import as_text, entry, load_pickle
from harness_datasets.source import Find, RoutedSource

SIDE = 84
CLASSES: Mapping[str, int] = {"train": 64, "valid": 16, "test": 20}
FILES: Mapping[str, str] = {"train": "train", "valid": "val", "test": "test"}
"""What the published lists and pickles call the splits."""
PICKLES: Mapping[str, tuple[str, str]] = {
    "train": ("mini-imagenet-cache-train.pkl", "mini-imagenet-cache-train.pkl"),
    "valid": ("mini-imagenet-cache-val.pkl", "mini-imagenet-cache-validation.pkl"),
    "test": ("mini-imagenet-cache-test.pkl", "mini-imagenet-cache-test.pkl"),
}
"""The pickles as first published, and as some pass them on."""

NAMES = ("mini*imagenet*",)


@dataclass(frozen=True, kw_only=True)
class MiniImageNet(RoutedSource):
    """Photographs of 64 train, 16 valid and 20 test classes of ImageNet, RGB, 84x84; classes by WordNet id, sorted.

    Routes:
        images: an archive or folder of images with the lists `train.csv`, `val.csv` and `test.csv`
            (filename,label) in it or beside it.
        pickles: `mini-imagenet-cache-{train,val,test}.pkl`, loose or in an archive or folder. A pickle is in
            memory in full while it is read, 0.8 GB for the train split.

    Args:
        any_size: take images of any size; otherwise one that is not 84x84 is refused.
    """

    name: str = "miniimagenet"
    any_size: bool = False

    channels: ClassVar[int] = 3
    official_classes: ClassVar[Mapping[str, int]] = CLASSES
    official_images: ClassVar[int] = 60_000
    licence: ClassVar[str] = "ImageNet's terms of access: research and education, not commercial"
    how_to_get: ClassVar[str] = (
        "miniImageNet is cut out of ILSVRC-2012 (image-net.org, by request) by the lists of "
        "github.com/twitter-research/meta-learning-lstm; many few-shot repositories pass on the result as a folder "
        "`mini-imagenet` of images with three CSV files, or as mini-imagenet-cache-{train,val,test}.pkl."
    )

    @property
    def native_size(self) -> int | None:  # type: ignore[override]
        """84, unless images of any size are taken."""
        return None if self.any_size else SIDE

    def routes(self) -> Mapping[str, Find]:
        """Images with lists first, then the pickles."""
        return {
            "images": partial(_find_images, self.name, None if self.any_size else SIDE),
            "pickles": partial(_find_pickles, self.name),
        }


def _find_images(source: str, side: int | None, data_dir: Path) -> ImageTree | None:
    raw = look_for(
        "miniimagenet", data_dir, NAMES, inside=("images", "train.csv"), also=("val.csv", "test.csv")
    )
    if raw is None:
        return None
    listing = raw.listing()
    rows = {
        path.rpartition(b"/")[2].decode(): row
        for row, path in enumerate(listing.paths.tolist())
        if is_image(path)
    }
    if not rows:
        return None
    classes: dict[str, Rows] = {}
    splits: dict[str, list[str]] = {}
    texts = _list_texts(source, raw, listing)
    for split, text in texts.items():
        found = _listed_classes(source, raw, f"{FILES[split]}.csv", text, rows)
        _check(raw.location, split, found, set(classes))
        classes |= found
        splits[split] = list(found)
    root = listing.path(min(rows.values())).rpartition("/")[0]
    return ImageTree(
        source=source,
        version="miniimagenet-1",
        raw=raw,
        listing=listing,
        root=f"{root}/" if root else "",
        classes=classes,
        splits=splits,
        channels=MiniImageNet.channels,
        side=side,
    )


def _list_texts(source: str, raw: RawFolder, listing: Listing) -> dict[str, str]:
    """Split -> the text of its list, inside or beside the images. Raises DataError for none, or several."""
    inside: dict[str, str] = {}
    for path in (path.decode() for path in listing.paths.tolist() if path.endswith(b".csv")):
        file = path.rpartition("/")[2]
        if file in inside:
            raise DataError(
                f"{raw.location} has two lists {file}: {inside[file]} and {path}. Keep one of them."
            )
        inside[file] = path
    wanted = {split: f"{stem}.csv" for split, stem in FILES.items()}
    contents = raw.read_few([inside[file] for file in wanted.values() if file in inside])
    texts = {}
    for split, file in wanted.items():
        beside = raw.location.parent / file
        try:
            content = contents[inside[file]] if file in inside else beside.read_bytes()
            texts[split] = content.decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"The split list {file} of source {source!r} is neither readable in {raw.location} nor beside it "
                f"({error}). Put Ravi and Larochelle's train.csv, val.csv and test.csv there."
            ) from error
    return texts


def _listed_classes(
    source: str, raw: RawFolder, file: str, text: str, rows: Mapping[str, int]
) -> dict[str, Rows]:
    """Label -> rows of its images, sorted. Raises DataError for images that are not there or are listed twice."""
    table = csv.DictReader(io.StringIO(text))
    if not {"filename", "label"} <= set(table.fieldnames or ()):
        raise DataError(
            f"{file} of {raw.location} has the columns {table.fieldnames}, not filename and label."
        )
    listed = [(str(line["filename"]).rpartition("/")[2], str(line["label"])) for line in table]
    check_listed(raw.location, source, [name for name, _ in listed], rows.keys(), file)
    if len({name for name, _ in listed}) < len(listed):
        raise DataError(f"{file} of {raw.location} names an image twice. Fetch the lists again.")
    found: dict[str, list[int]] = defaultdict(list)
    for name, label in listed:
        found[label].append(rows[name])
    return {label: np.array(sorted(found[label]), np.intp) for label in sorted(found)}


def _check(location: Path, split: str, found: Mapping[str, Any], before: set[str]) -> None:
    """Raise DataError unless the split has its number of classes, and none of an earlier split."""
    shared = sorted(before & set(found))
    if len(found) != CLASSES[split] or shared:
        also = f", {len(shared)} of them in an earlier split too ({', '.join(shared[:3])})" if shared else ""
        raise DataError(
            f"The split {split!r} of miniImageNet in {location} has {len(found)} classes{also}; Ravi and "
            f"Larochelle's has {CLASSES[split]} of its own. Fetch their lists again."
        )


def _find_pickles(source: str, data_dir: Path) -> ImageArrays | None:
    tried = (
        look_for("miniimagenet", data_dir, NAMES, inside=tuple(names))
        for names in zip(*PICKLES.values(), strict=True)
    )
    raw = next((raw for raw in tried if raw is not None), None)
    if raw is None:
        return None
    there = members(raw, [name for names in PICKLES.values() for name in names])
    if not there:
        return None
    found = {
        split: there[name] for split, names in PICKLES.items() for name in reversed(names) if name in there
    }
    missing = [names[0] for split, names in PICKLES.items() if split not in found]
    if missing:
        raise DataError(f"{raw.location} lacks {' and '.join(missing)} of source {source!r}. Fetch it again.")

    def load(split: str) -> tuple[npt.NDArray[np.uint8], ClassRows]:
        images, classes = _load(raw, found[split])
        _check(raw.location, split, classes, set())
        return images, classes

    return ImageArrays(
        version="miniimagenet-cache-1",
        location=raw.location,
        content=lambda: member_checksums(raw, found),
        load=load,
    )


def _load(raw: RawFolder, path: str) -> tuple[npt.NDArray[np.uint8], ClassRows]:
    """Images [n, 84, 84, 3] and class -> rows of a pickle. Raises DataError where it holds anything else."""
    with raw.opener() as opened:
        content = load_pickle(lambda: opened(path), path, raw.location)
    images = entry(content, "image_data", path, raw.location)
    classes = entry(content, "class_dict", path, raw.location)
    shape = (SIDE, SIDE, MiniImageNet.channels)
    if not (isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.shape[1:] == shape):
        raise DataError(f"image_data of {path} in {raw.location} is no array of uint8 {('n', *shape)}.")
    if not isinstance(classes, dict):
        raise DataError(f"class_dict of {path} in {raw.location} is no dictionary from class to rows.")
    rows = {as_text(name): _rows(classes[name]) for name in classes}
    together = np.concatenate([np.zeros(0, np.intp), *rows.values()])
    if not np.array_equal(np.sort(together), np.arange(len(images))):
        raise DataError(
            f"class_dict of {path} in {raw.location} does not put each of its {len(images)} images into one class."
        )
    return images, dict(sorted(rows.items()))


def _rows(value: Any) -> npt.NDArray[np.intp]:
    try:
        rows = np.asarray(value)
        return rows.astype(np.intp) if rows.ndim == 1 and rows.dtype.kind in "iu" else np.full(1, -1, np.intp)
    except (TypeError, ValueError):
        return np.full(1, -1, np.intp)
