"""Pointers and selection."""

from tq_contract.places import at, objects, select, texts


def test_pointers_are_escaped_as_rfc_6901_says():
    assert at("", "a") == "/a"
    assert at("/a", 0) == "/a/0"
    assert at("", "a/b~c") == "/a~1b~0c"
    assert at("", "") == "/"


def test_selection_passes_over_other_shapes():
    document = {"a": [{"b": "x"}, {"b": 2}, {"b": {}}, {"c": 3}, None, "b", ["b"]]}
    assert list(select(document, "a/*/b")) == [("/a/0/b", "x"), ("/a/1/b", 2), ("/a/2/b", {})]
    assert list(texts(document, "a/*/b")) == [("/a/0/b", "x")]
    assert list(objects(document, "a/*/b")) == [("/a/2/b", {})]
    assert list(select(document, "a/b")) == []
    assert list(select({"*": [1]}, "*")) == []
