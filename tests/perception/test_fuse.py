"""Graphs as torch would write them."""

from pathlib import Path

import numpy as np
import onnxwriter as ow
import torch

from tokodec.perception.fuse import fused
from tokodec.perception.graph import GraphNetwork
from tokodec.perception.onnxfile import Graph, read_onnx

RNG = np.random.default_rng(0)
ROOT = np.array(2**0.5, np.float32)
CONSTANTS = {
    "w": RNG.normal(size=(4, 3, 1, 1)).astype(np.float32),
    "b": RNG.normal(size=(1, 4, 1, 1)).astype(np.float32),
    "m": RNG.normal(size=(5, 6)).astype(np.float32),
    "n": RNG.normal(size=6).astype(np.float32),
    "root": ROOT,
    "one": np.array(1, np.float32),
    "half": np.array(0.5, np.float32),
}


def written(path: Path, constants: dict[str, np.ndarray], *more: bytes) -> Graph:
    """A convolution with a bias, a GELU and a linear layer, as an exporter spells them out."""
    nodes = [
        ow.node("Conv", ["x", "w"], "a", {"kernel_shape": (1, 1), "strides": (1, 1)}),
        ow.node("Add", ["a", "b"], "c"),
        ow.node("Identity", ["c"], "again"),
        ow.node("Div", ["again", "root"], "d"),
        ow.node("Erf", ["d"], "e"),
        ow.node("Add", ["e", "one"], "f"),
        ow.node("Mul", ["again", "f"], "g"),
        ow.node("Mul", ["g", "half"], "h"),
        *more,
        ow.node("MatMul", ["h", "m"], "i"),
        ow.node("Add", ["i", "n"], "y"),
    ]
    return read_onnx(ow.write(path, nodes, constants, "y", {}))


def test_what_is_fused_computes_the_same(tmp_path: Path) -> None:
    graph = written(tmp_path / "n.onnx", CONSTANTS)
    short = fused(graph)
    assert [node.kind for node in short.nodes] == ["Conv", "Gelu", "Linear"]
    assert {"root", "one", "half", "m"}.isdisjoint(short.constants)
    x = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(GraphNetwork(short)(x), GraphNetwork(graph)(x), atol=1e-6)


def test_what_only_looks_alike_stays(tmp_path: Path) -> None:
    other = {"root": ROOT * 2, "b": np.ones((1, 1, 1, 5), np.float32), "n": np.ones((4, 6), np.float32)}
    graph = written(tmp_path / "n.onnx", CONSTANTS | other)
    assert [n.kind for n in fused(graph).nodes] == [n.kind for n in graph.nodes if n.kind != "Identity"]


def test_a_value_that_others_use_stays(tmp_path: Path) -> None:
    graph = written(tmp_path / "n.onnx", CONSTANTS, ow.node("Mul", ["e", "a"], "unused"))
    kinds = [n.kind for n in fused(graph).nodes]
    assert kinds == ["Conv", "Add", "Div", "Erf", "Add", "Mul", "Mul", "Mul", "Linear"]
