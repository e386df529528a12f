"""Graphs as torch would write them: what exporters spell out in small steps becomes one operation.

::

    Conv, Add of a constant a channel              -> Conv with a bias
    MatMul by a constant matrix, Add of a constant -> Linear
    x / sqrt(2), Erf, + 1, * x, * 0.5              -> Gelu

The values are the same up to the order of sums; an intermediate value that is used elsewhere keeps its nodes.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from tokodec.perception.onnxfile import Graph, Node


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Nodes of which each is the only user of the one before it, and the constants of the graph."""

    nodes: tuple[Node, ...]
    constants: Mapping[str, Tensor]

    def constant(self, place: int) -> Tensor | None:
        """The constant that a node has beside what it takes from the chain."""
        return next((self.constants[name] for name in self.nodes[place].inputs if name in self.constants), None)

    def number(self, place: int) -> float:
        """The same, where it is one number; else none at all."""
        found = self.constant(place)
        return float(found) if found is not None and found.numel() == 1 else math.nan


Fused = tuple[Node, dict[str, Tensor]]
"""The node that stands for a chain, and the constants that it brings."""


def fused(graph: Graph) -> Graph:
    """A graph with the same outputs; values inside of what was fused have no name any more."""
    graph = _without_names(graph)
    for kinds, rule in RULES.items():
        graph = _applied(graph, kinds, rule)
    return graph


def _without_names(graph: Graph) -> Graph:
    """Without nodes that only give a value another name, but for outputs of the graph."""
    real: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        named = replace(node, inputs=tuple(real.get(name, name) for name in node.inputs))
        if node.kind == "Identity" and node.outputs[0] not in graph.outputs:
            real[node.outputs[0]] = named.inputs[0]
        else:
            nodes.append(named)
    return replace(graph, nodes=tuple(nodes))


def _applied(graph: Graph, kinds: tuple[str, ...], rule: Callable[[Chain], Fused | None]) -> Graph:
    gone: set[int] = set()
    last: dict[int, Node] = {}
    constants = dict(graph.constants)
    for places in _chains(graph, kinds):
        found = rule(Chain(nodes=tuple(graph.nodes[i] for i in places), constants=graph.constants))
        if found:
            gone.update(places[:-1])
            last[places[-1]] = found[0]
            constants |= found[1]
    nodes = [last.get(i, node) for i, node in enumerate(graph.nodes) if i not in gone]
    used = {name for node in nodes for name in node.inputs}
    return replace(graph, nodes=tuple(nodes), constants={name: t for name, t in constants.items() if name in used})


def _chains(graph: Graph, kinds: tuple[str, ...]) -> Iterator[list[int]]:
    """Places of nodes of ``kinds``, one after the other, whose values nobody else uses."""
    users: dict[str, list[int]] = {}
    for i, node in enumerate(graph.nodes):
        for name in node.inputs:
            users.setdefault(name, []).append(i)
    uses = Counter(name for node in graph.nodes for name in node.inputs) + Counter(graph.outputs)
    for i, node in enumerate(graph.nodes):
        places = [i]
        if node.kind != kinds[0]:
            continue
        for kind in kinds[1:]:
            value = graph.nodes[places[-1]].outputs[0]
            if uses[value] != 1 or value not in users or graph.nodes[users[value][0]].kind != kind:
                break
            places.append(users[value][0])
        if len(places) == len(kinds):
            yield places


def _biased(chain: Chain) -> Fused | None:
    """A convolution and what is added to its channels."""
    conv, add = chain.nodes
    bias, weight = chain.constant(1), chain.constants.get(conv.inputs[1])
    if bias is None or weight is None or len(conv.inputs) != 2 or bias.shape != (1, len(weight), *(1,) * (weight.ndim - 2)):
        return None
    name = f"{add.outputs[0]}/bias"
    return replace(conv, inputs=(*conv.inputs, name), outputs=add.outputs), {name: bias.flatten()}


def _linear(chain: Chain) -> Fused | None:
    """A product with a constant matrix on the right, and what is added to its columns."""
    product, add = chain.nodes
    weight, bias = chain.constants.get(product.inputs[1]), chain.constant(1)
    if weight is None or weight.ndim != 2 or bias is None or bias.shape != weight.shape[1:]:
        return None
    weight_name, bias_name = (f"{add.outputs[0]}/{part}" for part in ("weight", "bias"))
    node = replace(product, kind="Linear", inputs=(product.inputs[0], weight_name, bias_name), outputs=add.outputs)
    return node, {weight_name: weight.T.contiguous(), bias_name: bias}


def _gelu(chain: Chain) -> Fused | None:
    divided, _, _, product, half = chain.nodes
    numbers = [chain.number(place) for place in (0, 2, 4)]
    if not np.allclose(numbers, (2**0.5, 1, 0.5)) or divided.inputs[0] not in product.inputs:
        return None
    return Node(kind="Gelu", inputs=divided.inputs[:1], outputs=half.outputs, settings={}), {}


RULES: Mapping[tuple[str, ...], Callable[[Chain], Fused | None]] = {
    ("Conv", "Add"): _biased,
    ("MatMul", "Add"): _linear,
    ("Div", "Erf", "Add", "Mul", "Mul"): _gelu,
}
"""Kinds of nodes in a row, and what may become of them."""
