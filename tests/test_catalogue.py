"""Naming, listing, and the door."""

import json
import re

import pytest

import tokodec
from tokodec import catalogue, listing, zoo
from tokodec.catalogue import SHORT, ModelInfo, list_models, model_info, newest, unversioned
from tokodec.errors import InputError, ModelNotFound

KNOWN = ["a.v1", "a.v2", "a.v10", "a.v2-crisp", "a_b.v3", "c_test"]


def info(name: str, **changes: object) -> ModelInfo:
    fields = dict(model_info("hyperprior_vr_test")) | {"name": name} | changes
    return ModelInfo(**fields)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("a", "a.v10"),
        ("a.v1", "a.v1"),
        ("a.v2-crisp", "a.v2-crisp"),
        ("a-crisp", "a.v2-crisp"),
        ("a_b", "a_b.v3"),
        ("c_test", "c_test"),
    ],
)
def test_newest(name: str, full: str) -> None:
    assert newest(name, KNOWN) == full


@pytest.mark.parametrize(
    "name", ["", "a.v3", "A", "a.", "b", ".*", "c", "a.v1.safetensors", "../a.v1", "a-", "a.v1-crisp", "a_b-crisp", "-crisp"]
)
def test_names_that_nothing_has(name: str) -> None:
    with pytest.raises(ModelNotFound, match=re.escape(f"no model {name!r}; ")):
        newest(name, KNOWN)


def test_a_slip_of_the_finger_is_helped() -> None:
    with pytest.raises(ModelNotFound, match=r"did you mean .*\bhyperprior_vr\b"):
        model_info("hyperpriorvr")
    with pytest.raises(ModelNotFound, match="see: tokodec models list"):
        model_info("zzz")


@pytest.mark.parametrize(("name", "base"), [("a.v1", "a"), ("a.v12-crisp", "a"), ("a_test", "a_test"), ("a", "a")])
def test_unversioned(name: str, base: str) -> None:
    assert unversioned(name) == base


def test_an_unknown_room_is_refused() -> None:
    with pytest.raises(InputError, match="no room 'models'"):
        catalogue.folder("models")


def test_list_models_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [info("b.v1", pretrained=True), info("a.v1", kind="discrete", media="video"), info("a_test", licence="MIT")]
    monkeypatch.setattr(catalogue, "zoo", lambda: {row.name: row for row in rows})
    assert list_models() == ["a.v1", "a_test", "b.v1"]
    assert list_models("a*") == ["a.v1", "a_test"]
    assert list_models(kind="discrete") == list_models(media="video") == ["a.v1"]
    assert list_models(licence="MIT") == ["a_test"]
    assert list_models(pretrained=True) == ["b.v1"]
    assert list_models(pretrained=False) == ["a.v1", "a_test"]
    assert list_models("b*", kind="discrete") == []


def test_list_models_refuses_an_unknown_kind() -> None:
    with pytest.raises(InputError, match="no kind 'codecs'; there are codec, discrete, continuous, reducer"):
        list_models(kind="codecs")


def test_model_info_is_a_row_and_an_object() -> None:
    known = model_info("hyperprior_vr")
    assert known.name == known["name"] == "hyperprior_vr.v3"
    assert json.loads(json.dumps(dict(known))) == dict(known)
    assert len(known) == len(set(known)) == 11
    assert known == model_info("hyperprior_vr.v3") != model_info("hyperprior_vr_test")
    with pytest.raises(KeyError):
        known["__dict__"]


def test_create_makes_the_model_that_was_asked_for() -> None:
    small = zoo.create("hyperprior_vr_test")
    changed = zoo.create("hyperprior_vr_test", {"rows": 2})
    assert small.config == zoo.MODELS["hyperprior_vr_test"].config
    assert changed.config.rows == 2 != small.config.rows
    with pytest.raises(InputError, match=r"has no setting widht; it has .*rows"):
        zoo.create("hyperprior_vr_test", {"widht": 2})
    with pytest.raises(ModelNotFound, match="did you mean hyperprior_vr"):
        zoo.create("hyperprior_vr_tset")


def test_zoo_json_has_one_model_a_line() -> None:
    text = listing.to_json([info("a.v1"), info("b.v1")])
    assert [row["name"] for row in json.loads(text)] == ["a.v1", "b.v1"]
    assert text.count("\n") == 4


def test_table_links_cards_and_leaves_out_what_is_for_tests() -> None:
    shown = info("a.v1", pretrained=True, bytes=3 * 2**20, params=1_500_000, family="a")
    table = listing.table([shown, info("a_test")], cards="../")
    assert table.splitlines()[2:] == [
        "| [a.v1](../codecs/a.md) | codec | image | variable | 3.0 MiB, in the package | 1.50 M | Apache-2.0 |"
    ]
    assert listing.table([info("a_test")], cards="") == "No models yet."


def test_fill_replaces_what_stands_between_the_markers() -> None:
    page = f"head\n{listing.BEGIN}\nold\n{listing.END}\ntail\n"
    filled = listing.fill(page, "new")
    assert filled == page.replace("old", "new")
    assert listing.fill(filled, "new") == filled
    with pytest.raises(AssertionError, match="no <!--"):
        listing.fill("head", "new")


@pytest.mark.parametrize("name", tokodec.__all__)
def test_everything_on_the_door_can_be_had(name: str) -> None:
    assert name in dir(tokodec)
    assert getattr(tokodec, name) is not None


def test_the_door_refuses_other_names() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'encode'"):
        getattr(tokodec, "encode")  # noqa: B009


def test_a_short_name_is_that_of_a_model() -> None:
    for short, name in SHORT.items():
        assert newest(short, catalogue.zoo()) == newest(name, catalogue.zoo())
