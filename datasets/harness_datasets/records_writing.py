"""Writing Meta-Dataset's disk format, as its own reader takes it (see `records` for the reading side)."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.dataset import SPLITS
from harness.files import explained, make_folder
from harness_datasets.records import SPEC
from harness_datasets.tensorflow_loading import load_tensorflow

Encoded = tuple[int, Iterable[bytes]]
"""A class id and the encoded images of the class."""


def write_records(folder: Path, spec: Mapping[str, Any], classes: Iterable[Encoded]) -> None:
    """Write `folder`, `spec["name"]`'s: one file of records a class, and the specification.

    Everything is written aside and renamed; a complete folder that is there already stays as it is.
    Raises WorkspaceError when it cannot be written.
    """
    tf = load_tensorflow()
    make_folder(folder.parent)
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        make_folder(aside)
        with explained(folder):
            for class_id, images in classes:
                with tf.io.TFRecordWriter(str(aside / f"{class_id}.tfrecords")) as writer:
                    for image in images:
                        writer.write(_example(tf, image, class_id))
            (aside / SPEC).write_text(json.dumps(spec, indent=1) + "\n", encoding="utf-8")
            with suppress(OSError):  # another process was faster
                aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def flat_spec(name: str, classes: Mapping[str, Sequence[str]], sizes: Sequence[int]) -> dict[str, Any]:
    """A specification without groups. classes: split -> names; sizes: images of each class, in id order."""
    names = [name for split in SPLITS for name in classes.get(split, ())]
    return {
        "__class__": "DatasetSpecification",
        "name": name,
        "classes_per_split": {split.upper(): len(classes.get(split, ())) for split in SPLITS},
        "images_per_class": {str(k): size for k, size in enumerate(sizes)},
        "class_names": {str(k): class_name for k, class_name in enumerate(names)},
        "path": name,
        "file_pattern": "{}.tfrecords",
    }


def bi_level_spec(
    name: str, groups: Mapping[str, Mapping[str, Sequence[str]]], sizes: Sequence[int]
) -> dict[str, Any]:
    """A specification of superclasses. groups: split -> superclass -> names of its classes."""
    superclasses = [(group, names) for split in SPLITS for group, names in groups.get(split, {}).items()]
    classes = [class_name for _, names in superclasses for class_name in names]
    return {
        "__class__": "BiLevelDatasetSpecification",
        "name": name,
        "superclasses_per_split": {split.upper(): len(groups.get(split, {})) for split in SPLITS},
        "classes_per_superclass": {str(k): len(names) for k, (_, names) in enumerate(superclasses)},
        "images_per_class": {str(k): size for k, size in enumerate(sizes)},
        "superclass_names": {str(k): group for k, (group, _) in enumerate(superclasses)},
        "class_names": {str(k): class_name for k, class_name in enumerate(classes)},
        "path": name,
        "file_pattern": "{}.tfrecords",
    }


def hierarchical_spec(
    name: str, trees: Mapping[str, Mapping[str, Sequence[str]]], sizes: Sequence[int]
) -> dict[str, Any]:
    """A specification with a class graph of two levels in each split.

    trees: split -> inner node -> names of its leaves, which are the classes; a root stands above the nodes.
    """
    leaves = [leaf for split in SPLITS for nodes in trees[split].values() for leaf in nodes]
    size = dict(zip(leaves, sizes, strict=True))
    graphs, counts = {}, {}
    for split in SPLITS:
        nodes, root = trees[split], f"{split}-root"
        edges: list[tuple[str, list[str], list[str]]] = [(root, list(nodes), [])]
        edges += [(node, list(below), [root]) for node, below in nodes.items()]
        edges += [(leaf, [], [node]) for node, below in nodes.items() for leaf in below]
        graphs[split.upper()] = [
            {"wn_id": node, "words": node, "children_ids": children, "parents_ids": parents}
            for node, children, parents in edges
        ]
        images = {node: sum(size[leaf] for leaf in below) for node, below in nodes.items()}
        own = {leaf: size[leaf] for below in nodes.values() for leaf in below}
        counts[split.upper()] = {root: sum(own.values()), **images, **own}
    return {
        "__class__": "HierarchicalDatasetSpecification",
        "name": name,
        "split_subgraphs": graphs,
        "images_per_class": counts,
        "class_names": {str(k): leaf for k, leaf in enumerate(leaves)},
        "path": name,
        "file_pattern": "{}.tfrecords",
    }


def _example(tf: Any, image: bytes, label: int) -> bytes:
    feature = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    serialised: bytes = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
    return serialised
