"""Writing Meta-Dataset's disk format, as its own reader takes it (see `records` for the reading side)."""

import errno
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.dataset import SPLITS
from harness.files import explained, make_folder, write_json
from harness_datasets.records import SPEC
from harness_datasets.tensorflow_loading import load_tensorflow

Encoded = tuple[int, Iterable[bytes]]
"""A class id and the encoded images of the class."""

Graph = Mapping[str, Sequence[str]]
"""Inner node -> its children. What has none is a leaf, and a class; several nodes may have the same child."""


def write_records(folder: Path, spec: Mapping[str, Any], classes: Iterable[Encoded]) -> None:
    """Write `folder`, `spec["name"]`'s: one file of records a class, and the specification.

    Everything is written aside and renamed, so `folder` is complete or not there; records that are there already
    stay as they are. Raises WorkspaceError when it cannot be written, or when `folder` holds something else.
    """
    make_folder(folder.parent)
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(aside, ignore_errors=True)  # of a process that was killed and had the same number
    try:
        make_folder(aside)
        with explained(folder):
            for class_id, images in classes:
                _write_class(aside / spec["file_pattern"].format(class_id), class_id, images)
            write_json(aside / SPEC, spec)
            try:
                aside.rename(folder)
            except OSError:
                if not (folder / SPEC).is_file():  # otherwise another process was faster
                    raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write_class(path: Path, class_id: int, images: Iterable[bytes]) -> None:
    """One file of records. Raises OSError where it cannot be written."""
    tf = load_tensorflow()
    try:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for image in images:
                writer.write(_example(tf, image, class_id))
    except tf.errors.OpError as error:
        full = isinstance(error, tf.errors.ResourceExhaustedError)
        raise OSError(errno.ENOSPC if full else errno.EIO, error.message) from error


def _example(tf: Any, image: bytes, label: int) -> bytes:
    feature = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    serialised: bytes = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
    return serialised


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


def hierarchical_spec(name: str, graphs: Mapping[str, Graph], sizes: Sequence[int]) -> dict[str, Any]:
    """A specification with a class graph for each split.

    graphs: split -> graph; sizes: images of each class, in id order, which is that of the leaves in the graphs.
    """
    classes = [leaf for split in SPLITS for leaf in leaves(graphs[split])]
    size = dict(zip(classes, sizes, strict=True))
    counts = {
        split: {
            node: sum(size[leaf] for leaf in _below(graphs[split], node)) for node in _nodes(graphs[split])
        }
        for split in SPLITS
    }
    return {
        "__class__": "HierarchicalDatasetSpecification",
        "name": name,
        "split_subgraphs": {split.upper(): _written_nodes(graphs[split]) for split in SPLITS},
        "images_per_class": {split.upper(): counts[split] for split in SPLITS},
        "class_names": {str(k): leaf for k, leaf in enumerate(classes)},
        "path": name,
        "file_pattern": "{}.tfrecords",
    }


def leaves(graph: Graph) -> list[str]:
    """The leaves of a graph, each once, in the order in which they are first named."""
    children = (child for below in graph.values() for child in below)
    return list(dict.fromkeys(child for child in children if child not in graph))


def _below(graph: Graph, node: str) -> set[str]:
    """The leaves below a node; of a leaf, itself."""
    return set().union(*(_below(graph, child) for child in graph[node])) if node in graph else {node}


def _nodes(graph: Graph) -> list[str]:
    return [*graph, *leaves(graph)]


def _written_nodes(graph: Graph) -> list[dict[str, Any]]:
    return [
        {
            "wn_id": node,
            "words": node,
            "children_ids": list(graph.get(node, ())),
            "parents_ids": [above for above, children in graph.items() if node in children],
        }
        for node in _nodes(graph)
    ]
