"""tokodec models pull, list and info: lines, streams and exit codes."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from commands import draw, opened
from hubserver import COMMITS, NAME, ORIGIN, Hub, register, serving

from tokodec import catalogue, licences, machine
from tokodec.catalogue import ModelInfo, model_info
from tokodec.pretrained import pulled


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with serving(monkeypatch, tmp_path_factory.mktemp("cache")) as served:
        machine._kept.cache_clear()  # every command starts without a model
        yield served
        machine._kept.cache_clear()


def test_pull_prints_the_name_to_use(hub: Hub, tk: Any) -> None:
    told = tk("models", "pull", NAME)
    assert (told.code, told.out) == (0, f"{NAME}\n".encode())
    lines = told.err.splitlines()
    assert lines[0].startswith(f"{NAME}: MIT, ")
    assert COMMITS[0] in lines[0]
    assert lines[-1].startswith(f"{NAME}: 100 % of ")
    assert len(lines) <= 11
    draw("a.png")
    assert tk("a.png", "b.png", "-m", NAME).code == 0
    assert opened("b.png").size == (56, 40)


def test_pull_takes_a_revision_and_can_be_forced(hub: Hub, tk: Any) -> None:
    assert tk("models", "pull", NAME, "--revision", COMMITS[1]).code == 0
    source = pulled.remembered(NAME)
    assert source is not None
    assert source.commit == COMMITS[1]
    served = hub.served
    assert "here already" in tk("models", "pull", NAME).err
    assert hub.served == served
    assert tk("models", "pull", NAME, "--force").code == 0
    assert hub.served == 2 * served


def refused(told: Any, code: int, *words: str) -> None:
    """One line that names everything, and nothing on stdout."""
    assert (told.code, told.out) == (code, b"")
    assert told.err.splitlines()[-1].startswith("tokodec: ")
    assert [word for word in words if word not in told.err.splitlines()[-1]] == []


def test_pull_says_in_a_line_what_is_wrong(hub: Hub, tk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(tk("models", "pull", "nothing"), 6, "no model 'nothing'")
    refused(tk("models", "pull", "vq_test"), 2, "in the package")
    refused(tk("models", "pull", "mean_scale_128"), 6, "no public weights", "its card")
    refused(tk("models", "pull", "vqgan_f16_1024"), 6, "not on the hub", "card", "tokodec models convert vqgan_f16_1024 FILE")
    refused(tk("models", "pull", NAME, "--revision", "nowhere"), 6, "no revision nowhere")
    hub.refusal = (403, "GatedRepo")
    refused(tk("models", "pull", NAME), 6, "gated")
    hub.refusal = None
    hub.sent[COMMITS[0]] = bytes(len(hub.contents[COMMITS[0]]))
    announced, came = (hashlib.sha256(data).hexdigest() for data in (hub.contents[COMMITS[0]], hub.sent[COMMITS[0]]))
    refused(tk("models", "pull", NAME), 6, announced, came)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    told = tk("models", "pull", NAME)
    refused(told, 6, "cannot be reached")
    assert told.err.count("\n") == 1


def test_a_model_that_was_not_pulled_says_how(hub: Hub, tk: Any) -> None:
    draw("a.png")
    refused(tk("a.png", "-m", NAME), 6, f"tokodec models pull {NAME}")
    refused(tk("a.png", "-m", "llamagen_vq16"), 6, "tokodec models pull llamagen_vq16")
    refused(tk("a.png", "-m", "vqgan_f8_256"), 6, "tokodec models convert vqgan_f8_256 FILE")


def test_a_policy_refuses(hub: Hub, tk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, replace(ORIGIN, licence="LicenseRef-theirs"))
    for asked in ("permissive", "MIT"):
        refused(tk("models", "pull", NAME, "--licence", asked), 6, "LicenseRef-theirs", asked)
    assert tk("models", "pull", NAME).code == 0
    draw("a.png")
    monkeypatch.setenv("TOKODEC_LICENCE_POLICY", "permissive")
    refused(tk("a.png", "-m", NAME), 6, "LicenseRef-theirs", "permissive", "TOKODEC_LICENCE_POLICY")


# --- listing


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A zoo of four, one of each kind of weights."""
    plain = {**model_info("vq_test"), "bytes": None}
    rows = [
        ModelInfo(**{**plain, "name": "elsewhere", "origin": "elsewhere", "licence": "MIT"}),
        ModelInfo(**{**plain, "name": "hub", "origin": "hub:org/repo", "licence": "CC-BY-NC-4.0"}),
        ModelInfo(**{**plain, "name": "none"}),
        ModelInfo(**{**plain, "name": "shipped", "bytes": 5, "pretrained": True}),
    ]
    monkeypatch.setattr(catalogue, "zoo", lambda: {row.name: row for row in rows})


def test_list_shows_where_weights_are(listed: None, tk: Any) -> None:
    lines = tk("models", "list").out.decode().splitlines()
    assert [line.split("  ")[-1] for line in lines] == ["public weights", "public weights", "no weights", "trained"]
    assert [row["origin"] for row in tk("models", "list", "--json").rows] == ["elsewhere", "hub:org/repo", None, None]


@pytest.mark.parametrize(
    ("licence", "names"),
    [
        ("permissive", ["elsewhere", "none", "shipped"]),
        ("any", ["elsewhere", "hub", "none", "shipped"]),
        ("MIT", ["elsewhere"]),
        ("CC-BY-NC-4.0", ["hub"]),
    ],
)
def test_list_knows_licences_and_policies(listed: None, tk: Any, licence: str, names: list[str]) -> None:
    assert [row["name"] for row in tk("models", "list", "--licence", licence, "--json").rows] == names


def test_info_tells_origin_and_licence(tk: Any) -> None:
    shown = dict(line.split(maxsplit=1) for line in tk("models", "info", "llamagen_vq16").out.decode().splitlines())
    assert (shown["origin"], shown["licence"]) == ("hub:FoundationVision/LlamaGen", "MIT")
    (row,) = tk("models", "info", "vqgan_f8_256", "--json").rows
    assert (row["origin"], row["licence"]) == ("elsewhere", "MIT")


@pytest.mark.parametrize(("licence", "allowed"), [("MIT", True), ("apache-2.0", True), ("MIT OR GPL-3.0-only", False), ("", False)])
def test_permissive_is_a_list(licence: str, allowed: bool) -> None:
    assert licences.allows("permissive", licence) is allowed
    assert licences.allows("any", licence)
