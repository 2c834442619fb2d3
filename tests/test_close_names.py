"""What is said of many names where one was given that is not among them."""

import pytest

from harness import plugins
from harness.catalogue import catalogue
from harness.errors import FEW_NAMES, ConfigError, PluginError, close_names

MANY = ("maml", "imaml", "fo_maml", "anil", "nil", "reptile", "protonet", "r2d2", "boil", "Knn")


def test_of_many_names_the_nearest_are_named_and_the_others_counted() -> None:
    said = close_names("mamll", MANY, "harness list methods")
    assert said == (
        " Did you mean 'maml'? Also near: 'imaml', 'fo_maml'. `harness list methods` lists 7 others."
    )
    assert (
        close_names("kn", [*MANY, "knm"], "ls")
        == " Did you mean 'Knn'? Also near: 'knm'. `ls` lists 9 others."
    )


def test_where_none_is_near_the_command_that_lists_them_is_named() -> None:
    assert close_names("xyz", MANY, "ls") == " None of the 10 known is near it: `ls` lists them."


def test_few_names_are_all_named() -> None:
    few = MANY[:FEW_NAMES]
    said = close_names("mamll", few, "ls")
    assert said.startswith(" Did you mean 'maml'? Known: ")
    assert all(repr(name) in said for name in few)
    assert "lists" not in said


@pytest.mark.parametrize("group", sorted(plugins.WORDS))
def test_every_kind_of_plugin_has_a_list(group: str) -> None:
    with pytest.raises(PluginError) as caught:
        plugins.load(group, "no_such")
    many = len(plugins.names(group)) > FEW_NAMES
    assert (plugins.listed_by(group) in str(caught.value)) == many
    assert plugins.LISTS[plugins.listed_by(group).removeprefix("harness list ")] == group


def test_an_unknown_name_in_a_gin_file_is_answered_by_a_few_names() -> None:
    known = catalogue()
    with pytest.raises(ConfigError) as caught:
        known.resolve("ConvFour")
    said = str(caught.value)
    assert said.count("'") <= 2 * 5, "the wrong name and four others at most"
    named = said.count("'") // 2 - 1
    others = len({full.rpartition(".")[2] for full in known.classes}) - named
    assert f"`harness list classes` lists {others} others" in said
