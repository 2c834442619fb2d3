"""Which folder of a raw folder is which class."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from harness.errors import DataError, named_choices
from harness_datasets.image_files import is_image
from harness_datasets.raw_archives import Listing
from harness_datasets.raw_files import RawFolder, Rows

PARTS = frozenset(("train", "training", "val", "valid", "validation", "test", "testing"))
"""Folders above those of the classes that are parts of a data set, not classes."""


BESIDE = frozenset(b"txt csv tsv json xml md html pdf db ini mat npy npz yaml yml".split())
"""What the names of files end with that lie beside images and are none: lists, boxes, notes."""


def images_by_folder(listing: Listing, root: str) -> dict[str, Rows]:
    """Folder below `root` -> rows of the images that lie directly in it, both sorted; "" is `root` itself."""
    first, last = _below(listing, root)
    found: dict[bytes, list[int]] = defaultdict(list)
    for row, path in enumerate(listing.paths[first:last].tolist(), start=first):
        if is_image(path):
            found[path[len(root.encode()) :].rpartition(b"/")[0]].append(row)
    return {folder.decode(): np.array(found[folder], np.intp) for folder in sorted(found)}


def other_files(listing: Listing, root: str, folders: Collection[str]) -> list[str]:
    """Files in these folders below `root` that are no images by their name, nor of a kind that lies beside images."""
    first, last = _below(listing, root)
    start = len(root.encode())
    wanted = {folder.encode() for folder in folders}
    return [
        path.decode()
        for path in listing.paths[first:last].tolist()
        if not is_image(path)
        and path[start:].rpartition(b"/")[0] in wanted
        and path.rpartition(b".")[2].lower() not in BESIDE
    ]


def root_of(raw: RawFolder, listing: Listing, markers: Sequence[str], source: str) -> str:
    """What precedes the first of `markers` (beginnings of paths) that is there: "" or a folder with "/".

    Raises DataError where none is there: the raw folder is of something else.
    """
    paths: list[bytes] = listing.paths.tolist()
    for marker in map(str.encode, markers):
        for path in paths:
            at = 0 if path.startswith(marker) else path.find(b"/" + marker) + 1
            if at or path.startswith(marker):
                return path[:at].decode()
    raise DataError(
        f"{raw.location} has no {markers[0]!r}, so it is not the original archive or folder of source {source!r}. "
        "Fetch it again, unpack all of it, or name another place."
    )


def find_classes(raw: RawFolder, listing: Listing, inside: str, source: str) -> tuple[str, dict[str, Rows]]:
    """The root of the class folders, and class -> rows of its images, both sorted.

    inside: the folder that holds the class folders, from the top of the archive or folder; "" looks for it: it
    is the deepest that holds all images. A folder with images is a class, `a/b` where folders are nested; a last
    level of one name in all classes (`n01443537/images`) is no part of the names.
    Raises DataError for `inside` that is not there, images outside class folders, folders without images, and parts
    such as `train` and `test` with the same classes in both.
    """
    root = _start(raw, listing, inside)
    folders = images_by_folder(listing, root)
    if not set(folders) - {""}:
        raise DataError(
            f"{raw.location} has no folder with images{f' inside {inside!r}' if inside else ''}: source {source!r} "
            "needs one folder for each class, named after it, with its images. "
            f"Images are files that end in {named_choices(['.jpg', '.jpeg', '.png', '.bmp', '.gif', '.ppm', '.webp'])}."
        )
    shared = _shared_start(list(folders))
    classes = {folder[len(shared) :]: rows for folder, rows in folders.items()}
    if "" in classes:
        stray = listing.path(classes[""][0])
        raise DataError(
            f"{raw.location} has images beside class folders, among them {stray}: put every image of source "
            f"{source!r} into a folder named after its class."
        )
    _refuse_empty(raw, listing, root + shared, classes, source)
    _refuse_parts(raw, classes, source)
    return root + shared, dict(sorted(_without_last_level(classes).items()))


def _start(raw: RawFolder, listing: Listing, inside: str) -> str:
    own = "" if raw.packed else f"{raw.location.name}/"
    root = own + "".join(f"{part}/" for part in inside.split("/") if part)
    first, last = _below(listing, root)
    if first == last:
        tops = sorted({path.decode().split("/")[own.count("/")] for path in listing.paths.tolist()})
        raise DataError(
            f"{raw.location} has no files{f' inside {inside!r}' if inside else ''}. At its top are "
            f"{', '.join(map(repr, tops[:10])) or 'none'}: name the folder that holds the class folders."
        )
    return root


def _below(listing: Listing, root: str) -> tuple[int, int]:
    """The rows of all that lies below `root`, which is "" or ends in "/"."""
    if not root:
        return 0, len(listing)
    start = root.encode()
    after = start[:-1] + b"0"  # "0" comes right after "/"
    return int(np.searchsorted(listing.paths, start)), int(np.searchsorted(listing.paths, after))


def _shared_start(folders: Sequence[str]) -> str:
    """What all folders begin with, "" or ending in "/"; the last level of a single folder is its own."""
    split = [folder.split("/") if folder else [] for folder in folders]
    depth = 0
    most = min(len(parts) for parts in split) - (len(split) == 1)
    while depth < most and len({parts[depth] for parts in split}) == 1:
        depth += 1
    return "".join(f"{part}/" for part in split[0][:depth])


def _without_last_level(classes: Mapping[str, Rows]) -> dict[str, Rows]:
    ends = {name.rpartition("/")[2] for name in classes}
    if len(classes) > 1 and len(ends) == 1 and all("/" in name for name in classes):
        return {name.rpartition("/")[0]: rows for name, rows in classes.items()}
    return dict(classes)


def _refuse_empty(
    raw: RawFolder, listing: Listing, root: str, classes: Mapping[str, Rows], source: str
) -> None:
    """Raise DataError for a folder below `root` with no image in it nor below it."""
    first, last = _below(listing, root)
    used = {"", *(above for name in classes for above in _with_above(name))}
    others = {path.rpartition(b"/")[0].decode() for path in listing.paths[first:last].tolist()}
    bare = sorted(
        folder[len(root) :]
        for folder in others.union(listing.empty)
        if folder.startswith(root) and folder[len(root) :] not in used
    )
    if bare:
        more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
        raise DataError(
            f"The class folder {bare[0]!r}{more} in {raw.location} has no image: source {source!r} would be a class "
            "short. Put its images there, or remove the folder."
        )


def _refuse_parts(raw: RawFolder, classes: Mapping[str, Rows], source: str) -> None:
    """Raise DataError for `train/cat` beside `test/cat`: as two classes they could be in two splits."""
    tops: dict[str, set[str]] = defaultdict(set)
    for name in classes:
        top, _, rest = name.partition("/")
        tops[top].add(rest)
    if len(tops) < 2 or not {top.lower() for top in tops} <= PARTS:
        return
    shared = sorted(set.intersection(*tops.values()))
    if shared and shared[0]:
        first = next(iter(tops))
        raise DataError(
            f"{raw.location} has the class {shared[0]!r} in each of {named_choices(tops)} ({len(shared)} such "
            f"classes): source {source!r} would take them for different classes. Read one part with "
            f"inside = {first!r}, or put the images of each class into one folder."
        )


def _with_above(folder: str) -> Iterable[str]:
    parts = folder.split("/")
    return ("/".join(parts[:end]) for end in range(1, len(parts) + 1))


def check_listed(
    location: Path, source: str, listed: Collection[str], there: Collection[str], what: str
) -> None:
    """Raise DataError unless the images that a list of the archive names are there, counting those missing."""
    known = set(there)
    missing = [path for path in listed if path not in known]
    if missing:
        raise DataError(
            f"{location} lacks {len(missing)} of the {len(listed)} images that {what} of source {source!r} names, "
            f"among them {', '.join(missing[:3])}. Fetch it again and unpack all of it."
        )
