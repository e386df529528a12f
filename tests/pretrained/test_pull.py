"""tokodec models pull, its engine: the real client of the hub before a hub in this process."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import torch
from hubserver import COMMITS, FILE, NAME, ORIGIN, REPO, Hub, checkpoint, register, serving

import tokodec
from tokodec.errors import InputError, LicenceRefused, ModelNotFound, TokodecError, WeightsMismatch
from tokodec.pretrained import hub as client
from tokodec.pretrained import pulled
from tokodec.pretrained.convert.origins import TAKERS, from_checkpoint
from tokodec.pretrained.pull import pull
from tokodec.zoo import MODELS

UNREACHABLE = "http://127.0.0.1:9"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with serving(monkeypatch, tmp_path / "cache") as served:
        yield served


def kept(tmp_path: Path) -> set[str]:
    """What lies in the cache, locks apart."""
    return {p.relative_to(tmp_path / "cache").as_posix() for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.name != ".lock"}


WHOLE = {f"models/{NAME}/model.safetensors", f"models/{NAME}/source.json"}


def arriving(commit: str = COMMITS[0]) -> Path:
    return pulled.home(NAME) / f"{commit}-last.ckpt"


def stays_unloaded(tmp_path: Path) -> None:
    """Nothing is left of a pull that was refused."""
    assert kept(tmp_path) == set()
    with pytest.raises(ModelNotFound, match=f"tokodec models pull {NAME}"):
        tokodec.load(NAME)


# --- what arrives


def test_what_is_pulled_loads_without_a_network(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stays_unloaded(tmp_path)
    told: list[str] = []
    assert pull(NAME, tell=told.append) == NAME
    monkeypatch.setenv("HF_ENDPOINT", UNREACHABLE)
    model = tokodec.load(NAME)
    (tmp_path / "theirs.ckpt").write_bytes(hub.contents[COMMITS[0]])
    wanted = dict(from_checkpoint("vqgan_test", tmp_path / "theirs.ckpt").named_parameters())
    assert all(torch.equal(p, wanted[own]) for own, p in model.named_parameters())
    assert model.name == NAME
    assert kept(tmp_path) == WHOLE
    assert json.loads((pulled.home(NAME) / "source.json").read_text()) == {
        "repo": REPO,
        "file": FILE,
        "commit": COMMITS[0],
        "sha256": hashlib.sha256(hub.contents[COMMITS[0]]).hexdigest(),
        "licence": "MIT",
        "converted_sha256": pulled.sha256(pulled.weights(NAME)),
    }
    assert "MIT" in told[0]
    assert "MiB" in told[0]
    assert told[-1].startswith(f"{NAME}: 100 %")


def test_only_bytes_of_the_commit_are_asked_for_and_tokens_stay_with_the_hub(hub: Hub) -> None:
    pull(NAME)
    assert {path for _, path in hub.requests} == {
        f"/api/models/{REPO}/revision/main",
        f"/{REPO}/resolve/{COMMITS[0]}/{FILE}",
        f"/storage/{COMMITS[0]}",
    }
    assert hub.tokens_at_storage == []


def test_what_is_here_is_not_fetched_again(hub: Hub) -> None:
    pull(NAME)
    once = hub.served
    told: list[str] = []
    pull(NAME, tell=told.append)
    assert hub.served == once
    assert "here already" in told[-1]
    pull(NAME, force=True)
    assert hub.served == 2 * once


def test_the_commit_of_an_earlier_pull_is_remembered(hub: Hub) -> None:
    pull(NAME)
    hub.branches["main"] = COMMITS[1]
    pull(NAME)
    assert pulled.remembered(NAME).commit == COMMITS[0]  # type: ignore[union-attr]
    pull(NAME, revision="main")
    assert pulled.remembered(NAME).commit == COMMITS[1]  # type: ignore[union-attr]


def test_the_commit_of_the_table_comes_before_it(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    pull(NAME)
    register(monkeypatch, replace(ORIGIN, revision=COMMITS[1]))
    pull(NAME)
    assert pulled.remembered(NAME).commit == COMMITS[1]  # type: ignore[union-attr]


def test_damaged_weights_in_the_cache_are_not_loaded_and_are_replaced(hub: Hub) -> None:
    pull(NAME)
    data = bytearray(pulled.weights(NAME).read_bytes())
    data[-1] ^= 1
    pulled.weights(NAME).write_bytes(data)
    with pytest.raises(WeightsMismatch, match=f"damaged.*tokodec models pull {NAME}"):
        tokodec.load(NAME)
    pull(NAME)
    tokodec.load(NAME)
    pulled.weights(NAME).unlink()
    with pytest.raises(ModelNotFound, match=f"tokodec models pull {NAME}"):
        tokodec.load(NAME)
    pull(NAME)
    tokodec.load(NAME)


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"repo": 1}', "[" * 100_000])
def test_a_damaged_note_is_told(hub: Hub, note: str) -> None:
    pull(NAME)
    (pulled.home(NAME) / "source.json").write_text(note)
    for act in (tokodec.load, pull):
        with pytest.raises(WeightsMismatch, match=r"source\.json is damaged: remove it"):
            act(NAME)


# --- broken connections


def test_a_cut_connection_is_resumed(hub: Hub, tmp_path: Path) -> None:
    size = len(hub.contents[COMMITS[0]])
    hub.cuts = [size // 2, size // 4]
    pull(NAME)
    assert hub.ranges == [f"bytes={size // 2}-", f"bytes={size // 2 + size // 4}-"]
    assert hub.served == size
    assert kept(tmp_path) == WHOLE
    tokodec.load(NAME)


def test_a_pull_that_failed_is_resumed_by_the_next(hub: Hub, tmp_path: Path) -> None:
    size = len(hub.contents[COMMITS[0]])
    hub.cuts = [size // 2, *[0] * client.TRIES]
    with pytest.raises(ModelNotFound, match="pulling again goes on"):
        pull(NAME)
    assert arriving().read_bytes() == hub.contents[COMMITS[0]][: size // 2]
    assert len(hub.ranges) == client.TRIES
    hub.cuts.clear()
    pull(NAME)
    assert hub.served == size
    assert kept(tmp_path) == WHOLE


def test_a_busy_hub_is_asked_again(hub: Hub) -> None:
    hub.busy = client.TRIES - 1
    pull(NAME)
    hub.busy = client.TRIES
    with pytest.raises(ModelNotFound, match="HTTP 503"):
        pull(NAME, force=True)


def test_too_many_bytes_from_before_are_thrown_away(hub: Hub) -> None:
    arriving().parent.mkdir(parents=True)
    arriving().write_bytes(bytes(len(hub.contents[COMMITS[0]]) + 1))
    with pytest.raises(WeightsMismatch):
        pull(NAME)
    pull(NAME)


def test_what_another_commit_left_unfinished_goes(hub: Hub, tmp_path: Path) -> None:
    arriving().parent.mkdir(parents=True)
    arriving("c" * 40).write_bytes(b"begun")
    pull(NAME)
    assert kept(tmp_path) == WHOLE


# --- other bytes than they should be


def test_damaged_bytes_are_refused(hub: Hub, tmp_path: Path) -> None:
    data = hub.contents[COMMITS[0]]
    hub.sent[COMMITS[0]] = bytes([data[0] ^ 1]) + data[1:]
    with pytest.raises(WeightsMismatch, match="the hub announces") as caught:
        pull(NAME)
    for side in (data, hub.sent[COMMITS[0]]):
        assert hashlib.sha256(side).hexdigest() in str(caught.value)
    stays_unloaded(tmp_path)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_of_another_size_is_refused(hub: Hub, tmp_path: Path, change: int) -> None:
    data = hub.contents[COMMITS[0]]
    hub.sent[COMMITS[0]] = data[:change] if change < 0 else data + b"x"
    with pytest.raises(WeightsMismatch if change > 0 else ModelNotFound):
        pull(NAME)
    assert not pulled.weights(NAME).exists()


@pytest.mark.parametrize("lfs", [True, False])
def test_a_changed_file_under_the_remembered_commit_is_refused(hub: Hub, lfs: bool) -> None:
    pull(NAME)
    before = pulled.weights(NAME).read_bytes()
    hub.lfs, old, hub.contents[COMMITS[0]] = lfs, hub.contents[COMMITS[0]], hub.contents[COMMITS[1]]
    served = hub.served
    with pytest.raises(WeightsMismatch, match="an earlier pull of this commit had") as caught:
        pull(NAME, force=True)
    for side in (old, hub.contents[COMMITS[1]]):
        assert hashlib.sha256(side).hexdigest() in str(caught.value)
    assert lfs == (hub.served == served)  # what is announced is refused before a byte of it comes
    assert pulled.weights(NAME).read_bytes() == before
    tokodec.load(NAME)


def test_the_checksum_of_the_table_is_held(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, replace(ORIGIN, sha256="0" * 64))
    for hub.lfs in (True, False):
        with pytest.raises(WeightsMismatch, match=f"our table has {'0' * 64}"):
            pull(NAME)
        stays_unloaded(tmp_path)
    register(monkeypatch, replace(ORIGIN, sha256=hashlib.sha256(hub.contents[COMMITS[0]]).hexdigest()))
    pull(NAME)


@pytest.mark.parametrize(("data", "error"), [(b"no checkpoint at all", InputError), (None, WeightsMismatch)])
def test_a_checkpoint_of_something_else_is_refused(hub: Hub, tmp_path: Path, data: bytes | None, error: type[TokodecError]) -> None:
    if data is None:
        torch.save({"state_dict": {"other": torch.ones(1)}}, tmp_path / "other.pt")
        data = (tmp_path / "other.pt").read_bytes()
    hub.contents[COMMITS[0]] = data
    with pytest.raises(error):
        pull(NAME)
    stays_unloaded(tmp_path)


# --- what the hub does not give


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"repo": "someone/nothing"}, "no repository someone/nothing"),
        ({"repo": "a//b"}, "a//b"),
        ({"file": "nothing.pt"}, "no file nothing.pt"),
        ({"revision": "nowhere"}, "no revision nowhere"),
        ({"repo": ""}, "not on the hub: .*tokodec models convert vqgan_public FILE"),
    ],
)
def test_what_is_not_there_is_told(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], said: str) -> None:
    register(monkeypatch, replace(ORIGIN, **change))
    with pytest.raises(ModelNotFound, match=said) as caught:
        pull(NAME)
    assert "\n" not in str(caught.value)
    assert kept(tmp_path) == set()


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, "GatedRepo", "is gated: accept"),
        (403, "GatedRepo", "is gated: accept"),
        (403, "", "403"),
        (401, "", "401"),
        (500, "", "HTTP 500"),
    ],
)
def test_what_the_hub_refuses_is_told(hub: Hub, tmp_path: Path, status: int, code: str, said: str) -> None:
    hub.refusal = (status, code)
    with pytest.raises(ModelNotFound, match=said) as caught:
        pull(NAME)
    assert "\n" not in str(caught.value)
    stays_unloaded(tmp_path)


def test_without_a_network_it_says_so(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", UNREACHABLE)
    with pytest.raises(ModelNotFound, match="cannot be reached"):
        pull(NAME)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelNotFound, match=r"cannot be reached.*offline mode"):
        pull(NAME)
    stays_unloaded(tmp_path)


def test_an_answer_that_is_not_the_hubs_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"{hub.address}/storage/{COMMITS[0]}?")  # bytes where JSON should be
    with pytest.raises(ModelNotFound):
        pull(NAME)


def test_models_without_public_weights_are_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, None)
    with pytest.raises(ModelNotFound, match="no public weights"):
        pull(NAME)
    with pytest.raises(ModelNotFound, match="train it with its recipe"):
        tokodec.load(NAME)
    with pytest.raises(InputError, match="in the package"):
        pull("vqgan_test")
    with pytest.raises(ModelNotFound, match="did you mean"):
        pull("vqgan_publik")
    register(monkeypatch, replace(ORIGIN, repo=""))
    with pytest.raises(ModelNotFound, match=f"models/last.ckpt.*tokodec models convert {NAME} FILE"):
        tokodec.load(NAME)


def test_a_cache_that_cannot_be_written_is_told(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TOKODEC_HOME", str(tmp_path / "file"))
    with pytest.raises(TokodecError, match="cannot be written to"):
        pull(NAME)
    monkeypatch.setenv("TOKODEC_HOME", str(tmp_path / "other"))
    arriving().mkdir(parents=True)
    with pytest.raises(TokodecError, match=r"last\.ckpt: cannot write"):
        pull(NAME)


# --- licences


def test_a_licence_that_the_policy_does_not_allow_is_refused(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, replace(ORIGIN, licence="CC-BY-NC-4.0"))
    with pytest.raises(LicenceRefused, match=r"CC-BY-NC-4\.0, which --licence permissive does not allow"):
        pull(NAME, licence="permissive")
    with pytest.raises(LicenceRefused, match="--licence MIT"):
        pull(NAME, licence="MIT")
    assert hub.requests == []
    pull(NAME, licence="CC-BY-NC-4.0")
    monkeypatch.setenv("TOKODEC_LICENCE_POLICY", "permissive")
    for act in (lambda: tokodec.load(NAME), lambda: pull(NAME, licence="any")):
        with pytest.raises(LicenceRefused, match=r"CC-BY-NC-4\.0, which TOKODEC_LICENCE_POLICY permissive does not allow"):
            act()
    monkeypatch.setenv("TOKODEC_LICENCE_POLICY", "")
    tokodec.load(NAME)


def test_what_the_policy_allows_goes_through(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKODEC_LICENCE_POLICY", "permissive")
    pull(NAME, licence="permissive")
    tokodec.load(NAME)


def test_an_unknown_policy_is_refused(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    pull(NAME)
    monkeypatch.setenv("TOKODEC_LICENCE_POLICY", "free")
    for act in (tokodec.load, pull):
        with pytest.raises(InputError, match="TOKODEC_LICENCE_POLICY = 'free'; there are any, permissive"):
            act(NAME)
    tokodec.load("vqgan_test")  # of the package: no pulled weights


# --- where


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable, value, cache in (
        ("TOKODEC_HOME", "~/own", tmp_path / "own"),
        ("TOKODEC_HOME", "", tmp_path / "general" / "tokodec"),
        ("XDG_CACHE_HOME", "", tmp_path / ".cache" / "tokodec"),
        ("XDG_CACHE_HOME", "relative", tmp_path / ".cache" / "tokodec"),
    ):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "general"))
        monkeypatch.setenv(variable, value)
        assert pulled.cache() == cache


def test_every_origin_can_be_converted() -> None:
    """An entry that says where its weights are has a converter, so that pull or convert gets somewhere."""
    assert [name for name, entry in MODELS.items() if entry.origin and not issubclass(entry.build, tuple(TAKERS))] == []


def test_checkpoints_of_the_two_commits_differ() -> None:
    assert checkpoint(1) != checkpoint(2)
