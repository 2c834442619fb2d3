"""Meta-Dataset's specifications: the official ones as published, a clear sentence for every broken one."""

import copy
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.dataset import SPLITS
from harness.errors import DataError
from harness_datasets.meta_dataset_spec import MetaDatasetSpec, read_spec

# Triantafillou and others 2020, table 1 and appendix: classes of train, valid, test.
PUBLISHED = {
    "ilsvrc_2012": (712, 158, 130),
    "omniglot": (883, 81, 659),
    "aircraft": (70, 15, 15),
    "cu_birds": (140, 30, 30),
    "dtd": (33, 7, 7),
    "quickdraw": (241, 52, 52),
    "fungi": (994, 200, 200),
    "vgg_flower": (71, 15, 16),
    "traffic_sign": (0, 0, 43),
    "mscoco": (0, 40, 40),
}
# The sources whose official split is that of `np.random.seed(22)` over the sorted class names.
RECOMPUTABLE = ("aircraft", "cu_birds", "dtd", "quickdraw", "fungi", "vgg_flower")

FLAT: dict[str, Any] = {
    "name": "blots",
    "classes_per_split": {"TRAIN": 2, "VALID": 0, "TEST": 1},
    "images_per_class": {"2": 7, "0": 5, "1": 6},
    "class_names": {"0": "round", "1": "oval", "2": "long"},
    "path": "elsewhere",
    "file_pattern": "{}.tfrecords",
    "__class__": "DatasetSpecification",
}
BI_LEVEL: dict[str, Any] = {
    "name": "letters",
    "superclasses_per_split": {"TRAIN": 2, "VALID": 1, "TEST": 1},
    "classes_per_superclass": {"0": 2, "1": 1, "2": 1, "3": 2},
    "superclass_names": {"0": "Greek", "1": "Latin", "2": "Ogham", "3": "Runes"},
    "images_per_class": {str(c): 20 + c for c in range(6)},
    "class_names": {str(c): f"letter{c}" for c in range(6)},
    "path": "elsewhere",
    "file_pattern": "{}.tfrecords",
    "__class__": "BiLevelDatasetSpecification",
}


def node(name: str, *children: str) -> dict[str, Any]:
    return {"wn_id": name, "words": name, "children_ids": list(children), "parents_ids": []}


# In the training graph `lynx` lies below `thing` in two ways, and `whole` spans the same leaves as `thing`.
NODES: dict[str, Any] = {
    "name": "beasts",
    "split_subgraphs": {
        "TRAIN": [
            node("whole", "thing"),
            node("thing", "cat", "hunter"),
            node("hunter", "lynx", "wolf"),
            node("cat", "lynx", "tabby"),
            node("wolf"),
            node("lynx"),
            node("tabby"),
        ],
        "VALID": [node("owl")],
        "TEST": [node("thing", "toad", "newt"), node("toad"), node("newt")],
    },
    "images_per_class": {
        "TRAIN": {"whole": 33, "wolf": 10, "lynx": 11, "tabby": 12},
        "VALID": {"owl": 13},
        "TEST": {"toad": 14, "newt": 15},
    },
    "class_names": {"0": "tabby", "1": "wolf", "2": "lynx", "3": "owl", "4": "newt", "5": "toad"},
    "path": "elsewhere",
    "file_pattern": "{}.tfrecords",
    "__class__": "HierarchicalDatasetSpecification",
}


def spec(entries: dict[str, Any]) -> MetaDatasetSpec:
    return read_spec(json.dumps(entries), "here/dataset_spec.json")


def test_a_flat_specification() -> None:
    read = spec(FLAT)
    assert (read.name, read.file_pattern, read.file_name(2)) == ("blots", "{}.tfrecords", "2.tfrecords")
    assert [read.class_ids(split) for split in SPLITS] == [[0, 1], [], [2]]
    assert list(read.class_sizes("train").items()) == [("round", 5), ("oval", 6)]
    assert (read.class_names("valid"), read.class_sizes("valid")) == ([], {})
    assert read.class_sizes("test") == {"long": 7}
    assert all(read.class_groups(split) is None for split in SPLITS)
    assert read_spec(json.dumps(FLAT).encode(), "x") == read


def test_superclasses_are_counted_off_over_the_splits_and_classes_over_them() -> None:
    read = spec(BI_LEVEL)
    assert [read.class_ids(split) for split in SPLITS] == [[0, 1, 2], [3], [4, 5]]
    groups = read.class_groups("train")
    assert groups is not None
    assert groups.kind == "superclasses"
    assert groups.members == {"Greek": ["letter0", "letter1"], "Latin": ["letter2"]}
    assert list(read.class_sizes("test").items()) == [("letter4", 24), ("letter5", 25)]
    alone = copy.deepcopy(BI_LEVEL)
    alone["superclasses_per_split"] = {"TRAIN": 4, "VALID": 0, "TEST": 0}
    assert spec(alone).class_groups("test") is None


def test_every_internal_node_has_all_leaves_below_it_once_in_class_order() -> None:
    read = spec(NODES)
    assert [read.class_ids(split) for split in SPLITS] == [[0, 1, 2], [3], [4, 5]]
    assert list(read.class_sizes("train").items()) == [("tabby", 12), ("wolf", 10), ("lynx", 11)]
    groups = read.class_groups("train")
    assert groups is not None
    assert groups.kind == "nodes"
    assert groups.members == {
        "whole": ["tabby", "wolf", "lynx"],
        "thing": ["tabby", "wolf", "lynx"],
        "hunter": ["wolf", "lynx"],
        "cat": ["tabby", "lynx"],
    }
    assert read.class_groups("valid") is None
    assert read.class_names("test") == ["newt", "toad"]


@pytest.mark.parametrize("source", PUBLISHED)
def test_the_official_specifications(source: str, data_dir: Path) -> None:
    read = official(source, data_dir)
    assert read.name == source
    assert tuple(len(read.class_ids(split)) for split in SPLITS) == PUBLISHED[source]
    ids = [number for split in SPLITS for number in read.class_ids(split)]
    assert ids == list(range(sum(PUBLISHED[source])))
    names = [name for split in SPLITS for name in read.class_sizes(split)]
    assert names == [read.names[number] for number in ids]
    for split in SPLITS:
        groups = read.class_groups(split)
        if groups is not None:
            order = {name: place for place, name in enumerate(read.class_names(split))}
            for members in groups.members.values():
                places = [order[name] for name in members]
                assert places == sorted(set(places))
                assert places
            assert {name for members in groups.members.values() for name in members} == set(order)


def test_the_official_groups(data_dir: Path) -> None:
    """25, 5 and 20 alphabets; the three WordNet graphs have so many nodes with children."""
    omniglot, imagenet = official("omniglot", data_dir), official("ilsvrc_2012", data_dir)
    for read, kind, numbers in ((omniglot, "superclasses", (25, 5, 20)), (imagenet, "nodes", (299, 42, 50))):
        for split, n in zip(SPLITS, numbers, strict=True):
            groups = read.class_groups(split)
            assert groups is not None
            assert (groups.kind, len(groups.members)) == (kind, n)
    train = imagenet.class_groups("train")
    assert train is not None
    assert len(train.members["n00001740"]) == 712  # `entity`, the root


def test_numbers_of_images_in_official_specifications(data_dir: Path) -> None:
    """mscoco lists its classes out of order: class 0 is `person`."""
    assert official("mscoco", data_dir).names[0] == "person"
    assert official("mscoco", data_dir).class_sizes("valid")["person"] == 262465
    assert set(official("omniglot", data_dir).class_sizes("test").values()) == {20}
    assert official("ilsvrc_2012", data_dir).class_sizes("train")["n01440764"] == 1300


@pytest.mark.parametrize("source", RECOMPUTABLE)
def test_the_class_order_is_that_of_the_published_split(source: str, data_dir: Path) -> None:
    """Recomputed as Meta-Dataset's converters do it, from the sorted class names and their fixed seed."""
    read = official(source, data_dir)
    names, (n_train, n_valid, _) = np.sort(list(read.names.values())), PUBLISHED[source]
    drawn = np.random.RandomState(22)
    trainval = drawn.choice(len(names), n_train + n_valid, replace=False)
    train = drawn.choice(trainval, n_train, replace=False)
    assert read.class_names("train") == names[train].tolist()
    assert read.class_names("valid") == names[np.setdiff1d(trainval, train)].tolist()
    assert read.class_names("test") == names[np.setdiff1d(np.arange(len(names)), trainval)].tolist()


@pytest.mark.parametrize(
    ("source", "numbers"), [("dtd", (5, 0, 5)), ("quickdraw", (160, 48, 48)), ("traffic_sign", (0, 0, 43))]
)
def test_every_class_of_a_specification_has_its_file(
    source: str, numbers: tuple[int, int, int], data_dir: Path
) -> None:
    archive = data_dir / "meta_dataset_records" / f"{source}.zip"
    if not archive.is_file():
        pytest.skip(f"no records at {archive}")
    with zipfile.ZipFile(archive) as records:
        files = set(records.namelist())
        read = read_spec(records.read(f"{source}/dataset_spec.json"), str(archive))
    assert tuple(len(read.class_ids(split)) for split in SPLITS) == numbers
    expected = {f"{source}/{read.file_name(number)}" for split in SPLITS for number in read.class_ids(split)}
    assert expected == {name for name in files if name.endswith(".tfrecords")}


def official(source: str, data_dir: Path) -> MetaDatasetSpec:
    path = data_dir / "meta_dataset_specs" / f"{source}_dataset_spec.json"
    if not path.is_file():
        pytest.skip(f"no specification at {path}")
    return read_spec(path.read_bytes(), str(path))


def put(*keys_and_value: Any) -> Callable[[dict[str, Any]], None]:
    *keys, last, value = keys_and_value

    def change(entries: dict[str, Any]) -> None:
        for key in keys:
            entries = entries[key]
        entries[last] = value

    return change


def drop(*keys: Any) -> Callable[[dict[str, Any]], None]:
    *outer, last = keys

    def change(entries: dict[str, Any]) -> None:
        for key in outer:
            entries = entries[key]
        del entries[last]

    return change


BROKEN: list[tuple[dict[str, Any], Callable[[dict[str, Any]], None], str]] = [
    (FLAT, put("__class__", "Specification"), "__class__ is 'Specification', not one of"),
    (FLAT, drop("__class__"), "no entry __class__"),
    (FLAT, drop("name"), "no entry name"),
    (FLAT, put("name", 3), "name must be of type str, not int"),
    (FLAT, drop("classes_per_split"), "no entry classes_per_split"),
    (FLAT, drop("classes_per_split", "VALID"), r"no entry classes_per_split\['VALID'\]"),
    (FLAT, put("classes_per_split", "VALID", -1), r"classes_per_split\['VALID'\] is -1, not a whole"),
    (FLAT, put("classes_per_split", "VALID", True), r"classes_per_split\['VALID'\] is True, not a whole"),
    (
        FLAT,
        put("classes_per_split", "TEST", 2),
        "images_per_class has 3 entries, but the other counts add up to 4",
    ),
    (FLAT, drop("class_names", "1"), "class_names has 2 entries, but the other counts add up to 3"),
    (FLAT, put("class_names", "2", "oval"), "class_names holds 'oval' more than once"),
    (FLAT, put("class_names", "2", ""), r"class_names\['2'\] is '', not a name"),
    (FLAT, put("class_names", ["a", "b", "c"]), "class_names must be of type dict, not list"),
    (FLAT, put("images_per_class", {"0": 5, "1": 6, "3": 7}), "3 entries, but none for the id '2'"),
    (FLAT, put("images_per_class", "0", {"train": 3, "test": 2}), "not a whole number of at least 1"),
    (
        FLAT,
        put("images_per_class", "0", 0),
        r"images_per_class\['0'\] is 0, not a whole number of at least 1",
    ),
    (FLAT, put("file_pattern", "{}_{}.tfrecords"), "one file a class is read"),
    (FLAT, put("file_pattern", "../{}.tfrecords"), "one file a class is read"),
    (FLAT, put("file_pattern", "all.tfrecords"), "one file a class is read"),
    (BI_LEVEL, put("superclasses_per_split", "TEST", 2), "entries, but the other counts add up to 5"),
    (BI_LEVEL, put("classes_per_superclass", "3", 3), "entries, but the other counts add up to 7"),
    (BI_LEVEL, put("classes_per_superclass", "3", 0), r"classes_per_superclass\['3'\] is 0, not a whole"),
    (BI_LEVEL, put("superclass_names", "3", "Greek"), "superclass_names holds 'Greek' more than once"),
    (BI_LEVEL, put("class_names", "3", "letter0"), "class_names holds 'letter0' more than once"),
    (NODES, drop("split_subgraphs", "TEST"), r"no entry split_subgraphs\['TEST'\]"),
    (NODES, put("split_subgraphs", "TEST", {}), r"split_subgraphs\['TEST'\] must be of type list"),
    (NODES, put("split_subgraphs", "VALID", ["owl"]), "holds 'owl' where a node belongs"),
    (NODES, put("split_subgraphs", "VALID", [{"wn_id": "owl"}]), r"\['children_ids'\]"),
    (NODES, put("split_subgraphs", "VALID", 0, node("owl", "egg")), "no node 'egg', a child of 'owl'"),
    (NODES, put("split_subgraphs", "VALID", 0, node("owl", "owl")), "'owl' is in or above a circle"),
    (NODES, put("split_subgraphs", "VALID", [node("owl"), node("owl")]), "the node 'owl' more than once"),
    (NODES, put("split_subgraphs", "VALID", [node("auk")]), "leaf 'auk', which class_names lacks"),
    (NODES, put("split_subgraphs", "VALID", []), "class 'owl' is a leaf of 0 of the split_subgraphs"),
    (
        NODES,
        put("split_subgraphs", "VALID", 0, node("wolf")),
        r"images_per_class\['VALID'\] has no entry 'wolf'",
    ),
    (NODES, drop("images_per_class", "VALID"), r"no entry images_per_class\['VALID'\]"),
    (NODES, put("images_per_class", "VALID", "owl", 1.5), "is 1.5, not a whole number of at least 1"),
    (NODES, put("class_names", "0", "wolf"), "class_names holds 'wolf' more than once"),
]


@pytest.mark.parametrize(("good", "change", "message"), BROKEN)
def test_a_broken_specification_is_one_sentence_that_names_the_file(
    good: dict[str, Any], change: Callable[[dict[str, Any]], None], message: str
) -> None:
    entries = copy.deepcopy(good)
    change(entries)
    with pytest.raises(DataError, match=message) as caught:
        spec(entries)
    text = str(caught.value)
    assert text.startswith("here/dataset_spec.json is no usable Meta-Dataset specification: ")
    assert "\n" not in text


@pytest.mark.parametrize("text", ["", "{", b"\xff\xfe\xfd", "[1]", "null", '{"name": "x"}', "[" * 100_000])
def test_what_is_no_specification_is_refused(text: bytes | str) -> None:
    with pytest.raises(DataError, match=r"^here/spec\.json is no usable Meta-Dataset specification: "):
        read_spec(text, "here/spec.json")


def test_a_leaf_of_two_splits_is_refused() -> None:
    entries = copy.deepcopy(NODES)
    entries["split_subgraphs"]["VALID"].append(node("wolf"))
    entries["images_per_class"]["VALID"]["wolf"] = 10
    with pytest.raises(DataError, match="'wolf' is a leaf of 2 of the split_subgraphs"):
        spec(entries)


def test_unknown_splits_are_refused() -> None:
    for ask in (MetaDatasetSpec.class_ids, MetaDatasetSpec.class_sizes, MetaDatasetSpec.class_groups):
        with pytest.raises(DataError, match="Did you mean 'valid'"):
            ask(spec(FLAT), "vaild")
