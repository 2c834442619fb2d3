"""Records as the harness writes them: as Meta-Dataset's own, of each kind, whole or not there."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from harness.errors import WorkspaceError
from harness_datasets.records_writing import bi_level_spec, flat_spec, hierarchical_spec, write_records
from harness_datasets.tensorflow_loading import load_tensorflow
from packing import drawn, write_tree
from records_files import (
    CLASSES,
    SIZES,
    as_metadataset_reads,
    assert_same,
    encoded,
    files_of,
    opened,
    read,
    write_small,
)

PICTURE = drawn(1, kind="JPEG")


def test_bi_level_records_are_grouped_by_superclass(tmp_path: Path) -> None:
    groups = {
        "train": {"Greek": ["alpha", "beta"]},
        "valid": {},
        "test": {"Latin": ["a"], "Runic": ["f", "u"]},
    }
    sizes = [2, 1, 3, 1, 2]
    spec = bi_level_spec("omniglot", groups, sizes)
    write_records(tmp_path / "omniglot", spec, ((k, encoded(k, n)) for k, n in enumerate(sizes)))
    records = opened(tmp_path, "omniglot")
    assert records.class_sizes("train") == {"alpha": 2, "beta": 1}
    assert records.class_sizes("valid") == {}
    assert records.class_sizes("test") == {"a": 3, "f": 1, "u": 2}
    found = records.class_groups("test")
    assert found is not None
    assert (found.kind, found.members) == ("superclasses", groups["test"])
    assert records.class_groups("valid") is None
    for k, name in enumerate(("alpha", "beta", "a", "f", "u")):
        official = as_metadataset_reads(tmp_path / "omniglot" / f"{k}.tfrecords")
        assert {label for label, _ in official} == {k}
        assert_same(
            read(records, "train" if k < 2 else "test", {name: list(range(sizes[k]))}),
            {name: [pixels for _, pixels in official]},
        )


GRAPHS = {
    "train": {"animal": ["pet", "fish"], "pet": ["cat", "dog", "goldfish"], "fish": ["goldfish", "eel"]},
    "valid": {"tool": ["saw", "axe"]},
    "test": {"plant": ["tree", "moss"], "tree": ["oak", "elm"]},
}


def test_a_class_graph_is_written_as_published_and_read_as_nodes(tmp_path: Path, data_dir: Path) -> None:
    sizes = [2, 3, 1, 2, 4, 1, 1, 2, 3]
    spec = hierarchical_spec("ilsvrc_2012", GRAPHS, sizes)
    assert list(spec["class_names"].values()) == [
        *("cat", "dog", "goldfish", "eel"),
        *("saw", "axe"),
        *("moss", "oak", "elm"),
    ]
    write_records(tmp_path / "ilsvrc_2012", spec, ((k, encoded(k, n)) for k, n in enumerate(sizes)))
    records = opened(tmp_path, "ilsvrc_2012")
    assert records.class_sizes("train") == {"cat": 2, "dog": 3, "goldfish": 1, "eel": 2}
    found = records.class_groups("train")
    assert found is not None
    assert found.kind == "nodes"
    assert {node: list(below) for node, below in found.members.items()} == {
        "animal": ["cat", "dog", "goldfish", "eel"],
        "pet": ["cat", "dog", "goldfish"],
        "fish": ["goldfish", "eel"],
    }
    assert spec["images_per_class"]["TRAIN"]["animal"] == 8  # the goldfish are counted once
    assert {len(images) for images in read(records, "test").values()} == {1, 2, 3}
    path = data_dir / "meta_dataset_specs" / "ilsvrc_2012_dataset_spec.json"
    if path.is_file():
        official = json.loads(path.read_text())
        assert set(spec) == set(official)
        for split in ("TRAIN", "VALID", "TEST"):
            node, published = spec["split_subgraphs"][split][0], official["split_subgraphs"][split][0]
            assert {key: type(value) for key, value in node.items()} == {
                key: type(value) for key, value in published.items()
            }


def test_written_records_are_whole_or_not_there(tmp_path: Path) -> None:
    folder = write_small(tmp_path)
    before = files_of(folder, "")
    write_small(tmp_path, sizes=(1, 1, 1, 1, 1))
    assert files_of(folder, "") == before

    def breaking(name: str) -> Iterable[tuple[int, list[bytes]]]:
        yield 0, [PICTURE]
        assert not (tmp_path / name).exists()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_records(tmp_path / "fungi", flat_spec("fungi", CLASSES, SIZES), breaking("fungi"))
    assert [path.name for path in tmp_path.iterdir()] == ["dtd"]


def test_nothing_is_written_over_something_else(tmp_path: Path) -> None:
    write_tree(tmp_path / "dtd", {"notes.txt": b"mine"})
    with pytest.raises(WorkspaceError, match=f"Cannot write {tmp_path / 'dtd'}"):
        write_small(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["dtd", "notes.txt"]
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match="a file stands where a folder is needed"):
        write_small(tmp_path / "file")


def test_a_failing_writer_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tf = load_tensorflow()

    class Full:
        def __init__(self, path: str) -> None:
            raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.io, "TFRecordWriter", Full)
    with pytest.raises(WorkspaceError, match="the disk is full"):
        write_small(tmp_path)
    assert list(tmp_path.iterdir()) == []
