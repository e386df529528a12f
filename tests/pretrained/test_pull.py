"""Public weights from a hub: fetched once, resumed, verified, remembered, and refused where they are not what they should be."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hubserver import COMMIT, OTHER, Hub, serving

from tokodec import zoo
from tokodec.entry import Entry, Origin
from tokodec.errors import InputError, LicenceRefused, ModelNotFound, WeightsMismatch
from tokodec.pretrained import cache, store
from tokodec.pretrained.convert.vqgan import names_of
from tokodec.pretrained.pull import pull
from tokodec.zoo import create

NAME = "vqgan_test"
REPO, FILE = "somebody/vqgan", "folder/last.ckpt"


def checkpoint(seed: int, more: int = 1) -> bytes:
    """As the authors would save it, with ``more`` numbers of a loss in it."""
    torch.manual_seed(seed)
    model: Any = create(NAME)
    names, buffer = names_of(model), io.BytesIO()
    theirs = {names.upstream(own): p for own, p in model.named_parameters()}
    torch.save({"state_dict": {**theirs, "loss.vgg": torch.zeros(more)}}, buffer)
    return buffer.getvalue()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub that is up, an entry whose weights are there alone, and a cache that is empty."""
    entry: Entry = zoo.MODELS[NAME]
    monkeypatch.setitem(zoo.MODELS, NAME, replace(entry, weights=None, origin=Origin(repo=REPO, file=FILE, licence="MIT")))  # type: ignore[arg-type]
    hub = Hub(repo=REPO, file=FILE, data=checkpoint(1))
    with serving(hub) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("TOKODEC_HOME", str(tmp_path / "home"))
        monkeypatch.delenv("TOKODEC_LICENCE_POLICY", raising=False)
        yield hub


def origin(monkeypatch: pytest.MonkeyPatch, **change: str) -> None:
    entry = zoo.MODELS[NAME]
    assert entry.origin is not None
    monkeypatch.setitem(zoo.MODELS, NAME, replace(entry, origin=replace(entry.origin, **change)))  # type: ignore[arg-type]


def test_what_was_pulled_loads_without_the_hub(hub: Hub) -> None:
    with pytest.raises(ModelNotFound, match=f"tokodec models pull {NAME}"):
        store.load(NAME)
    told: list[str] = []
    folder = pull(NAME, tell=told.append)
    assert f"hub:{REPO} at {COMMIT[:12]}" in told[0]
    assert "licence MIT" in told[0]
    hub.status = 500
    torch.manual_seed(1)
    wanted = create(NAME)
    loaded = store.load(NAME)
    assert loaded.name == NAME
    assert all(torch.equal(p, dict(loaded.named_parameters())[own]) for own, p in wanted.named_parameters())
    assert sorted(path.name for path in folder.iterdir()) == ["model.safetensors", "source.json"], "the download was kept"
    source = cache.source(NAME)
    assert source is not None
    assert (source.commit, source.sha256, source.licence) == (COMMIT, hub.sha256, "MIT")


def test_a_cut_connection_is_resumed(hub: Hub) -> None:
    hub.data = checkpoint(1, more=6_000_000)  # the client writes pieces of 10 MiB
    hub.cut = 20_000_000
    pull(NAME)
    assert [r for _, path, r in hub.asked if path.startswith("/cdn/")] == ["", f"bytes={10 << 20}-"]
    assert hub.sent == 20_000_000 + len(hub.data) - (10 << 20)


def test_what_an_earlier_pull_fetched_is_not_fetched_again(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.data = checkpoint(1, more=6_000_000)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tokodec.pretrained.pull.from_checkpoint", killed)
        with pytest.raises(KeyboardInterrupt):
            pull(NAME)
    with pytest.raises(ModelNotFound):
        store.load(NAME)
    pull(NAME)
    assert hub.sent == len(hub.data)


def test_the_commit_that_was_pulled_is_the_one_that_is_pulled_again(hub: Hub) -> None:
    pull(NAME)
    hub.asked.clear()
    pull(NAME)
    assert any(f"/revision/{COMMIT}" in path for _, path, _ in hub.asked)
    assert not any("main" in path for _, path, _ in hub.asked)


def test_other_content_under_the_same_commit_is_refused_and_what_is_there_stays(hub: Hub) -> None:
    pull(NAME)
    before = store.load(NAME).fingerprint
    hub.data = checkpoint(2)
    with pytest.raises(WeightsMismatch, match="the earlier pull says"):
        pull(NAME)
    assert store.load(NAME).fingerprint == before


def test_another_revision_is_taken_when_it_is_asked_for(hub: Hub) -> None:
    pull(NAME)
    before = store.load(NAME).fingerprint
    hub.data, hub.commit, hub.revisions = checkpoint(2), OTHER, ("main", "v2", OTHER)
    pull(NAME, revision="v2")
    assert store.load(NAME).fingerprint != before
    source = cache.source(NAME)
    assert source is not None
    assert source.commit == OTHER


def test_damage_is_seen_against_the_hub_and_against_the_zoo(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.lfs = "0" * 64
    with pytest.raises(WeightsMismatch, match=f"the hub says {'0' * 64}"):
        pull(NAME)
    hub.lfs = None
    origin(monkeypatch, sha256="1" * 64)
    with pytest.raises(WeightsMismatch, match=f"the zoo says {'1' * 64}"):
        pull(NAME)
    with pytest.raises(ModelNotFound):
        store.load(NAME)


def test_damage_in_the_cache_is_seen(hub: Hub) -> None:
    path = pull(NAME) / cache.WEIGHTS
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsMismatch, match="damaged"):
        store.load(NAME)
    (path.parent / cache.NOTE).write_text("{}")
    with pytest.raises(ModelNotFound):
        store.load(NAME)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"status": 401}, "hub:somebody/vqgan is not there, or is private"),
        ({"status": 404}, "hub:somebody/vqgan is not there"),
        ({"status": 403}, "gated"),
        ({"revisions": ("v9",)}, "has no revision main"),
        ({"file": "other.ckpt"}, "has no file folder/last.ckpt"),
    ],
)
def test_what_cannot_be_had_is_said(hub: Hub, change: dict[str, Any], said: str) -> None:
    for name, value in change.items():
        setattr(hub, name, value)
    with pytest.raises(ModelNotFound, match=said):
        pull(NAME)


def test_no_hub_and_no_network(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(ModelNotFound, match="cannot be"):
        pull(NAME)


def test_licences_that_the_policy_does_not_allow_are_neither_pulled_nor_loaded(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    origin(monkeypatch, licence="LicenseRef-research")
    with pytest.raises(LicenceRefused, match="LicenseRef-research, which --licence permissive does not allow"):
        pull(NAME, licence="permissive")
    assert not hub.asked, "the hub was asked all the same"
    pull(NAME, licence="LicenseRef-research")
    store.load(NAME)
    monkeypatch.setenv("TOKODEC_LICENCE_POLICY", "permissive")
    with pytest.raises(LicenceRefused, match="TOKODEC_LICENCE_POLICY permissive"):
        store.load(NAME)
    monkeypatch.setenv("TOKODEC_LICENCE_POLICY", "generous")
    with pytest.raises(InputError, match="'generous'; there are any, permissive"):
        store.load(NAME)


def test_who_publishes_elsewhere_is_sent_to_the_card(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    origin(monkeypatch, repo="")
    with pytest.raises(ModelNotFound, match=f"tokodec models convert {NAME} FILE"):
        pull(NAME)
    with pytest.raises(ModelNotFound, match="see its card"):
        store.load(NAME)
    with pytest.raises(InputError, match="no public weights"):
        pull("vq_f16")


def test_the_command(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    from tokodec.cli.main import run  # noqa: PLC0415

    assert run(["models", "pull", NAME, "--licence", "permissive"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{NAME}\n"
    assert "licence MIT" in said.err
    hub.revisions = ()
    assert run(["models", "pull", NAME, "--revision", "v3"]) == 6
    assert capsys.readouterr().err.count("\n") == 1


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TOKODEC_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.root() == tmp_path / "tokodec"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.root() == Path.home() / ".cache" / "tokodec"


def test_the_catalogue_tells_of_public_weights() -> None:
    rows = {row["name"]: row for row in json.loads((Path(zoo.__file__).parent / "zoo.json").read_text())}
    assert rows["llamagen_vq16"]["origin"] == "hub:FoundationVision/LlamaGen"
    assert rows["llamagen_vq16"]["licence"] == "MIT"
    assert rows["vqgan_f16_1024"]["origin"] == "elsewhere"
    assert rows["vq_f16.v1"]["origin"] is None
