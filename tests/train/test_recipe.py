"""Recipes: what is read, what is refused."""

import tomllib
from pathlib import Path

import pytest

from tokodec.catalogue import folder
from tokodec.errors import InputError
from tokodec.train.recipe import PhaseRecipe, Recipe, fill, read_recipe
from tokodec.train.schedule import moment, past
from tokodec.zoo import MODELS, newest

MINIMAL = {
    "model": "hyperprior_vr_test",
    "data": {"shards": ["*.tar"]},
    "objective": [{"name": "rate_distortion"}],
    "phase": [{"steps": 4}],
}


SHIPPED = sorted(p for room in ("codecs", "tokenizers") for p in folder(room).glob("*.toml"))
WARM_STARTS = {tomllib.loads(p.read_text(encoding="utf-8")).get("warm_start") for p in SHIPPED}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_recipes_are_recipes(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.steps > 0
    assert newest(recipe.model, MODELS) in MODELS, "the package has no such model"
    goes_on = f"dir:runs/{path.stem}" in WARM_STARTS
    assert goes_on or moment(recipe, recipe.steps - 1).rate < 0.01, "the learning rate does not end near zero"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modle": "x"}, "no setting modle"),
        ({"batch": "many"}, "batch = 'many' is not of type int"),
        ({"batch": True}, "batch"),
        ({"phase": [{"steps": 3, "size": 9}]}, "no setting size"),
        ({"data": {"shards": "a.tar"}}, "shards"),
        ({"objective": [{}]}, "name"),
        ({"optimiser": {"main": {"momentum": 1}}}, "no setting momentum"),
    ],
)
def test_a_wrong_setting_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fill(Recipe, {**MINIMAL, **change}, "recipe")


def test_batches_are_made_of_whole_pieces(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('model = "m"\nbatch = 6\nmicro_batch = 4\nphase = []\nobjective = []\n[data]\nshards = []\n')
    with pytest.raises(InputError, match="not a multiple"):
        read_recipe(path)


def test_no_file_and_no_toml(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        read_recipe(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("= =")
    with pytest.raises(InputError, match="not TOML"):
        read_recipe(tmp_path / "bad.toml")


def test_phases_and_rates() -> None:
    recipe = fill(Recipe, {**MINIMAL, "warmup": 2, "phase": [{"steps": 4}, {"steps": 4, "crop": 64, "rate_end": 0.0}]}, "recipe")
    rates = [moment(recipe, s).rate for s in range(8)]
    assert rates[:5] == [0.5, 1.0, 1.0, 1.0, 1.0]
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert [moment(recipe, s).phase.crop for s in (3, 4)] == [256, 64]
    longer = fill(Recipe, {**MINIMAL, "warmup": 2, "phase": [{"steps": 6}, {"steps": 4, "crop": 64, "rate_end": 0.0}]}, "recipe")
    assert past(recipe, 4) == past(longer, 4)
    assert past(recipe, 6) != past(longer, 6)
    assert PhaseRecipe(steps=1).rounding == "straight_through"
