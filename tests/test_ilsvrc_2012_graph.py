"""ILSVRC 2012 as Meta-Dataset has it: its classes, their sizes, what is left out, and the graph above them."""

import itertools
from pathlib import Path

import pytest

from harness.dataset import NODES, SPLITS
from harness.errors import DataError
from harness_datasets.ilsvrc_2012 import ILSVRC2012
from harness_datasets.ilsvrc_2012_classes import (
    IMAGES,
    left_out,
    sizes_of_ilsvrc_2012,
    split_of_ilsvrc_2012,
)
from harness_datasets.ilsvrc_2012_graph import children_of, classes_of, groups_of
from harness_datasets.meta_dataset_spec import MetaDatasetSpec, read_spec


@pytest.fixture
def spec(data_dir: Path) -> MetaDatasetSpec:
    path = data_dir / "meta_dataset_specs" / "ilsvrc_2012_dataset_spec.json"
    if not path.is_file():
        pytest.skip(f"no {path.name} in {path.parent}")
    return read_spec(path.read_bytes(), path.name)


@pytest.mark.parametrize("split", SPLITS)
def test_the_graph_is_that_of_the_specification(split: str, spec: MetaDatasetSpec) -> None:
    official, ours = spec.class_groups(split), groups_of(split)
    assert official is not None
    assert (ours.kind, list(ours.members)) == (official.kind, list(official.members))
    for node, members in official.members.items():
        assert ours.members[node] == members, node
    assert classes_of(split) == spec.class_names(split)


def test_the_sizes_are_those_of_the_specification(spec: MetaDatasetSpec) -> None:
    official = [item for split in SPLITS for item in spec.class_sizes(split).items()]
    assert list(sizes_of_ilsvrc_2012().items()) == official


# Counted in the official specification; a node with 5 to 392 classes may be drawn.
@pytest.mark.parametrize(
    ("split", "classes", "nodes", "eligible"),
    [("train", 712, 299, 113), ("valid", 158, 42, 18), ("test", 130, 50, 15)],
)
def test_every_node_spans_what_its_children_span(split: str, classes: int, nodes: int, eligible: int) -> None:
    children, groups = children_of(split), groups_of(split)
    assert groups.kind == NODES
    assert len(children) == len(groups.members) == nodes
    assert list(children) == list(groups.members) == sorted(children)
    for node, members in groups.members.items():
        assert len(children[node]) >= 2
        below = itertools.chain(*(groups.members.get(child, [child]) for child in children[node]))
        assert members == sorted(set(below)), node
    assert max(map(len, groups.members.values())) == classes  # there is a root
    assert sum(5 <= len(members) <= 392 for members in groups.members.values()) == eligible
    inner = {child for below in children.values() for child in below if child in children}
    assert len(children.keys() - inner) == 1


def test_every_class_is_in_one_split() -> None:
    ours = [wnid for split in SPLITS for wnid in classes_of(split)]
    assert len(set(ours)) == len(ours) == 1000
    assert split_of_ilsvrc_2012(sorted(ours)) == {split: classes_of(split) for split in SPLITS}
    with pytest.raises(DataError, match="The 999 classes are not the 1000 WordNet ids"):
        split_of_ilsvrc_2012(ours[1:])


def test_what_is_left_out_accounts_for_every_image() -> None:
    sizes, out = sizes_of_ilsvrc_2012(), [name.partition("_")[0] for name in left_out()]
    assert len(out) == 403
    # As published: 1,281,167 images, and a class has 732 to 1300.
    assert sum(sizes.values()) == IMAGES == ILSVRC2012.official_images == 1_281_167 - len(out)
    published = [size + out.count(wnid) for wnid, size in sizes.items()]
    assert (min(published), max(published)) == (732, 1300)
