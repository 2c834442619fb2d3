"""Meta-Dataset's `dataset_spec.json`: which classes a source has, in which split, and how they are grouped.

Three kinds, told apart by `__class__`: `DatasetSpecification` (flat), `BiLevelDatasetSpecification` (Omniglot:
characters in alphabets) and `HierarchicalDatasetSpecification` (ImageNet: a WordNet graph per split). A class
is known by its id, which names its file. Ids are counted off over the splits: train, then valid, then test.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from harness.dataset import SPLITS, ClassGroups
from harness.errors import DataError, named_choices
from harness.parameters import check_split

WRITTEN_SPLITS = {split: split.upper() for split in SPLITS}
"""How the specifications spell our splits: `TRAIN`, `VALID`, `TEST`."""


@dataclass(frozen=True, kw_only=True)
class MetaDatasetSpec:
    """One source's specification.

    name: the source's name. file_pattern: a file's name, `{}` standing for the class id. ids: split -> class
    ids, ascending. names, sizes: class id -> its name, its number of images; no two classes share a name.
    groups: split -> the groups of its classes, None where there are none.
    All methods raise DataError for an unknown split.
    """

    name: str
    file_pattern: str
    ids: Mapping[str, tuple[int, ...]]
    names: Mapping[int, str]
    sizes: Mapping[int, int]
    groups: Mapping[str, ClassGroups | None]

    def class_ids(self, split: str) -> list[int]:
        """Ids of the split's classes, ascending: the class order of everything below. Maybe empty."""
        check_split(self.name, split, SPLITS)
        return list(self.ids[split])

    def class_names(self, split: str) -> list[str]:
        """Names of the split's classes, in class order."""
        return [self.names[number] for number in self.class_ids(split)]

    def class_sizes(self, split: str) -> dict[str, int]:
        """Class name -> number of images, in class order."""
        return {self.names[number]: self.sizes[number] for number in self.class_ids(split)}

    def class_groups(self, split: str) -> ClassGroups | None:
        """Alphabets (kind `superclasses`) or internal nodes of the graph (kind `nodes`), with class names.

        Members are in class order. None for a flat source and for a split without classes.
        """
        check_split(self.name, split, SPLITS)
        return self.groups[split]

    def file_name(self, class_id: int) -> str:
        """The name of the file that holds the images of a class."""
        return self.file_pattern.format(class_id)


def read_spec(text: bytes | str, where: str) -> MetaDatasetSpec:
    """The specification written in `text`; `where` names its file in messages.

    Raises DataError for text that is no JSON, for missing or wrong entries, and for counts that do not add up.
    """
    raw = _Raw(entries=_entries(text, where), where=where)
    kinds: Mapping[str, Callable[[_Raw], MetaDatasetSpec]] = {
        "DatasetSpecification": _flat,
        "BiLevelDatasetSpecification": _bi_level,
        "HierarchicalDatasetSpecification": _hierarchical,
    }
    kind = raw.text("__class__")
    if kind not in kinds:
        raise raw.error(f"its __class__ is {kind!r}, not one of {named_choices(kinds)}")
    return kinds[kind](raw)


def _flat(raw: "_Raw") -> MetaDatasetSpec:
    ids = _counted_off(raw.split_counts("classes_per_split"))
    n_classes = sum(len(part) for part in ids.values())
    sizes = dict(enumerate(raw.numbered("images_per_class", n_classes, raw.size)))
    return raw.spec(ids, raw.class_names(n_classes), sizes, dict.fromkeys(SPLITS))


def _bi_level(raw: "_Raw") -> MetaDatasetSpec:
    """Superclasses are counted off over the splits, and classes over the superclasses."""
    supers = _counted_off(raw.split_counts("superclasses_per_split"))
    n_supers = sum(len(part) for part in supers.values())
    widths = raw.numbered("classes_per_superclass", n_supers, raw.size)
    titles = raw.numbered("superclass_names", n_supers, raw.name)
    raw.check_distinct("superclass_names", titles)
    starts = [0, *accumulate(widths)]
    members = [tuple(range(first, after)) for first, after in pairwise(starts)]
    names = raw.class_names(starts[-1])
    ids, groups = {}, {}
    for split, chosen in supers.items():
        ids[split] = tuple(number for above in chosen for number in members[above])
        named = {titles[above]: [names[number] for number in members[above]] for above in chosen}
        groups[split] = ClassGroups(kind="superclasses", members=named) if named else None
    sizes = dict(enumerate(raw.numbered("images_per_class", starts[-1], raw.size)))
    return raw.spec(ids, names, sizes, groups)


def _hierarchical(raw: "_Raw") -> MetaDatasetSpec:
    """The classes of a split are the leaves of its graph; `class_names` holds their WordNet ids."""
    names = raw.class_names(len(raw.mapping("class_names")))
    id_of = {name: number for number, name in enumerate(names)}
    graphs, images = raw.mapping("split_subgraphs"), raw.mapping("images_per_class")
    ids: dict[str, tuple[int, ...]] = {}
    sizes: dict[int, int] = {}
    groups: dict[str, ClassGroups | None] = {}
    for split, written in WRITTEN_SPLITS.items():
        children = raw.children(graphs, written)
        leaves = [node for node, under in children.items() if not under]
        unnamed = [leaf for leaf in leaves if leaf not in id_of]
        if unnamed:
            raise raw.error(f"its graph {written} has the leaf {unnamed[0]!r}, which class_names lacks")
        ids[split] = tuple(sorted(id_of[leaf] for leaf in leaves))
        counts = raw.inner(images, "images_per_class", written, dict)
        for number in ids[split]:
            if names[number] not in counts:
                raise raw.error(f"its images_per_class[{written!r}] has no entry {names[number]!r}")
            sizes[number] = raw.size(f"images_per_class[{written!r}]", names[number], counts[names[number]])
        below = _leaves_below(raw, children)
        named = {node: sorted(below[node], key=id_of.__getitem__) for node in children if children[node]}
        groups[split] = ClassGroups(kind="nodes", members=named) if named else None
    _check_shared_out(raw, ids, names)
    return raw.spec(ids, names, sizes, groups)


def _leaves_below(raw: "_Raw", children: Mapping[str, Sequence[str]]) -> dict[str, set[str]]:
    """Node -> the leaves it spans (a leaf spans itself), each once however many ways lead to it.

    From the leaves upwards, a level at a time. Raises DataError for a circle.
    """
    below: dict[str, set[str]] = {}
    waiting = list(children)
    while waiting:
        ready = [node for node in waiting if all(child in below for child in children[node])]
        if not ready:
            raise raw.error(f"its node {waiting[0]!r} is in or above a circle of split_subgraphs")
        for node in ready:
            below[node] = set().union(*(below[child] for child in children[node])) or {node}
        waiting = [node for node in waiting if node not in below]
    return below


def _check_shared_out(raw: "_Raw", ids: Mapping[str, Sequence[int]], names: Sequence[str]) -> None:
    """Raise DataError unless every class is in just one split."""
    uses = Counter(number for part in ids.values() for number in part)
    for number, name in enumerate(names):
        if uses[number] != 1:
            raise raw.error(
                f"its class {name!r} is a leaf of {uses[number]} of the split_subgraphs, not of one"
            )


def _counted_off(counts: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Split -> its ids, when 0, 1, 2, ... are given out to the splits in turn."""
    ends = list(accumulate(counts[split] for split in SPLITS))
    return {split: tuple(range(end - counts[split], end)) for split, end in zip(SPLITS, ends, strict=True)}


def _entries(text: bytes | str, where: str) -> dict[str, Any]:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _error(where, f"it is no JSON text ({error})") from error
    if not isinstance(entries, dict):
        raise _error(where, f"it holds a {type(entries).__name__} where an object belongs")
    return entries


def _error(where: str, problem: str) -> DataError:
    return DataError(
        f"{where} is no usable Meta-Dataset specification: {problem}; fetch the file again, or make it again "
        "with Meta-Dataset's converter."
    )


@dataclass(frozen=True, kw_only=True)
class _Raw:
    """The entries of one file, each given out only in the form it must have. All methods raise DataError."""

    entries: Mapping[str, Any]
    where: str

    def error(self, problem: str) -> DataError:
        return _error(self.where, problem)

    def mapping(self, key: str) -> dict[str, Any]:
        found: dict[str, Any] = self.inner(self.entries, "", key, dict)
        return found

    def inner(self, outer: Mapping[str, Any], outer_name: str, key: str, kind: type) -> Any:
        """`outer[key]`, which must be of type `kind`."""
        place = f"{outer_name}[{key!r}]" if outer_name else key
        if key not in outer:
            raise self.error(f"it has no entry {place}")
        if not isinstance(outer[key], kind):
            raise self.error(f"its {place} must be of type {kind.__name__}, not {type(outer[key]).__name__}")
        return outer[key]

    def text(self, key: str) -> str:
        found: str = self.inner(self.entries, "", key, str)
        return found

    def spec(
        self,
        ids: Mapping[str, tuple[int, ...]],
        names: Sequence[str],
        sizes: Mapping[int, int],
        groups: Mapping[str, ClassGroups | None],
    ) -> MetaDatasetSpec:
        """What was found, with the entries that all kinds have."""
        return MetaDatasetSpec(
            name=self.text("name"),
            file_pattern=self.file_pattern(),
            ids=ids,
            names=dict(enumerate(names)),
            sizes=sizes,
            groups=groups,
        )

    def class_names(self, n: int) -> list[str]:
        """The names of the classes 0 to n-1, all different."""
        names = self.numbered("class_names", n, self.name)
        self.check_distinct("class_names", names)
        return names

    def file_pattern(self) -> str:
        """One file a class: the pattern has one place, for the id."""
        pattern = self.text("file_pattern")
        before, gap, after = pattern.partition("{}")
        if not gap or set("{}/\\") & {*before, *after}:
            raise self.error(
                f"its file_pattern is {pattern!r}, but one file a class is read, as in '{{}}.tfrecords'"
            )
        return pattern

    def split_counts(self, key: str) -> dict[str, int]:
        counts = self.mapping(key)
        for written in WRITTEN_SPLITS.values():
            if written not in counts:
                raise self.error(f"it has no entry {key}[{written!r}]")
        return {split: self.count(key, written, counts[written]) for split, written in WRITTEN_SPLITS.items()}

    def numbered(self, key: str, n: int, check: Callable[[str, str, Any], Any]) -> list[Any]:
        """The values of the ids "0" to "n-1", which must be the keys; they may stand in any order."""
        values = self.mapping(key)
        expected = [str(number) for number in range(n)]
        if len(values) != n:
            raise self.error(f"its {key} has {len(values)} entries, but the other counts add up to {n}")
        lacking = [number for number in expected if number not in values]
        if lacking:
            raise self.error(f"its {key} has {n} entries, but none for the id {lacking[0]!r}")
        return [check(key, number, values[number]) for number in expected]

    def count(self, key: str, entry: str, value: Any) -> int:
        return self._whole(key, entry, value, least=0)

    def size(self, key: str, entry: str, value: Any) -> int:
        return self._whole(key, entry, value, least=1)

    def _whole(self, key: str, entry: str, value: Any, *, least: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.error(f"its {key}[{entry!r}] is {value!r}, not a whole number of at least {least}")
        return value

    def name(self, key: str, entry: str, value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise self.error(f"its {key}[{entry!r}] is {value!r}, not a name")
        return value

    def check_distinct(self, key: str, names: Sequence[str]) -> None:
        repeated = [name for name, uses in Counter(names).items() if uses > 1]
        if repeated:
            raise self.error(f"its {key} holds {repeated[0]!r} more than once")

    def children(self, graphs: Mapping[str, Any], written: str) -> dict[str, list[str]]:
        """Node -> its children, of the graph of one split."""
        place = f"split_subgraphs[{written!r}]"
        found: dict[str, list[str]] = {}
        for node in self.inner(graphs, "split_subgraphs", written, list):
            if not isinstance(node, dict):
                raise self.error(f"its {place} holds {node!r} where a node belongs")
            name = self.inner(node, place, "wn_id", str)
            if name in found:
                raise self.error(f"its {place} holds the node {name!r} more than once")
            found[name] = self.inner(node, place, "children_ids", list)
        for name, children in found.items():
            unknown = [child for child in children if not isinstance(child, str) or child not in found]
            if unknown:
                raise self.error(f"its {place} has no node {unknown[0]!r}, a child of {name!r}")
        return found
