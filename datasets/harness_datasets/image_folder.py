"""A source of your own: images in folders named after their classes, unpacked or in an archive."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from harness.errors import ConfigError, DataError, MissingDataError
from harness.parameters import check_choice
from harness_datasets.class_folders import find_classes, other_files
from harness_datasets.class_split import ClassSplit
from harness_datasets.image_tree import ImageTree
from harness_datasets.raw_files import raw_folder_at
from harness_datasets.source import Find, RoutedSource

REFUSE, SKIP = "refuse", "skip"


@dataclass(frozen=True, kw_only=True)
class ImageFolder(ClassSplit, RoutedSource):  # type: ignore[override]  # `splits` follows from the parameters
    """Images of any size in a folder, zip, tar or tar.gz of `<class>/<image>`.

    Folders around all of the class folders are passed by. Where class folders are nested, `<a>/<b>/<image>` is of
    class `a/b`; a last level of one name in all classes (`<class>/images/<image>`) is passed by too. Lists and notes
    are ignored, and other files that are no images by their extension left out with a warning that counts them; a
    folder without images, and a single class, are refused. An archive and the folder unpacked
    from it have one fingerprint. The classes are all for testing unless `ClassSplit`'s parameters say otherwise.

    Args:
        path: the folder or archive, relative to the data folder or absolute; "" is the data folder itself.
        name: the source's name.
        channels: 3 (RGB) or 1 (grey); images are converted as `harness_datasets.image_files.decode` says.
        inside: the folder in `path` that holds the class folders, where `path` has others besides; relative to it.
        on_bad_image: "refuse" stops at an image that cannot be decoded. "skip" leaves such images out: then all
            images are decoded once before anything else is done, their number is said in a warning and in the
            fingerprint, and a class without a readable image is refused still.

    Raises ConfigError for a parameter out of range.
    """

    path: str = ""
    name: str = "image_folder"
    channels: int = 3  # type: ignore[misc]
    inside: str = ""
    on_bad_image: str = REFUSE

    licence: ClassVar[str] = "your own data: see where you have it from"
    how_to_get: ClassVar[str] = "ImageFolder.path names a folder or archive of `<class>/<image>` of your own."

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_split_parameters()
        check_choice("ImageFolder.on_bad_image", self.on_bad_image, (REFUSE, SKIP))
        if self.channels not in (1, 3):
            raise ConfigError(f"ImageFolder.channels must be 1 (grey) or 3 (RGB); got {self.channels!r}.")
        if ".." in self.inside.split("/") or self.inside.startswith("/"):
            raise ConfigError(
                f"ImageFolder.inside must be a path in the folder or archive, as in 'data/train'; got {self.inside!r}."
            )

    def routes(self) -> Mapping[str, Find]:
        """One form: a folder or an archive of class folders."""
        return {"folder": self._find}

    def find(self, data_dir: Path | None) -> ImageTree:
        """The images. Raises MissingDataError where `path` is not there, DataError where it holds no classes."""
        if data_dir is None and not Path(self.path).is_absolute():
            raise MissingDataError(
                f"The images of source {self.name!r} are in {self.path or 'the data folder'!r}, but no data folder was "
                "named. Name it with `--data DIR` or HARNESS_DATA, or give an absolute ImageFolder.path."
            )
        base = data_dir or Path(self.path)
        found = self._find(base)
        if found is None:
            raise MissingDataError(
                f"The images of source {self.name!r} are not there: {base / self.path} is no folder and no archive "
                "(.zip, .tar, .tar.gz, .tgz). Put them there, or correct ImageFolder.path or `--data DIR`."
            )
        return found

    def _find(self, data_dir: Path) -> ImageTree | None:
        raw = raw_folder_at(data_dir / self.path if self.path else data_dir)
        if raw is None:
            return None
        listing = raw.listing()
        root, classes = find_classes(raw, listing, self.inside, self.name)
        if len(classes) < 2:
            raise DataError(
                f"{raw.location} has one folder of images, {next(iter(classes))!r}, so source {self.name!r} would have "
                "one class: put the images of each class into a folder of its own, or name the folder of the class "
                "folders with ImageFolder.inside."
            )
        _say_what_is_ignored(self.name, raw.location, tuple(other_files(listing, root, tuple(classes))))
        lists = data_dir if data_dir.is_dir() else data_dir.parent
        splits = self.split_classes(list(classes), lists, str(raw.location))
        tree = ImageTree(
            source=self.name,
            version=f"image-folder-1-{'rgb' if self.channels == 3 else 'grey'}",
            raw=raw,
            listing=listing,
            root=root,
            classes=classes,
            splits={split: splits[split] for split in self.splits},
            channels=self.channels,
        )
        return without_unreadable(tree) if self.on_bad_image == SKIP else tree


# A source is asked for its fingerprint and for the classes of each split one after the other: once is enough.
@lru_cache(maxsize=32)
def _say_what_is_ignored(source: str, location: Path, others: tuple[str, ...]) -> None:
    if others:
        warnings.warn(
            f"Source {source!r}: {len(others)} files in class folders of {location} are no images by their names and "
            f"are left out, the first: {others[0]}",
            stacklevel=2,
        )


@dataclass(frozen=True)
class _Content:
    """A tree under what identifies its content, so that it is decoded once and not at every question."""

    location: Path
    fingerprint: str
    tree: ImageTree = field(compare=False)


def without_unreadable(tree: ImageTree) -> ImageTree:
    """The tree without the images that cannot be decoded; decodes all of them, once in a process.

    Warns with the number of images left out. Raises DataError for a class that keeps none.
    """
    wrong = _unreadable(_Content(tree.location, tree.fingerprint(), tree))
    if not wrong:
        return tree
    classes = {name: rows[~np.isin(rows, list(wrong))] for name, rows in tree.classes.items()}
    lost = [name for name, rows in classes.items() if not len(rows)]
    if lost:
        raise DataError(
            f"Class {lost[0]!r} of source {tree.source!r} in {tree.location} has no image that can be decoded: "
            "fetch its images again, or remove its folder."
        )
    return replace(tree, classes=classes, skipped=len(wrong))


@lru_cache(maxsize=8)
def _unreadable(content: _Content) -> dict[int, str]:
    """Row -> what is wrong with it."""
    tree = content.tree
    wrong = {row: said for name in tree.classes for row, said in tree.unreadable(name).items()}
    if wrong:
        total = sum(map(len, tree.classes.values()))
        warnings.warn(
            f"Source {tree.source!r}: {len(wrong)} of {total} images in {tree.location} cannot be decoded and are left "
            f"out, the first: {next(iter(wrong.values()))}",
            stacklevel=2,
        )
    return wrong
