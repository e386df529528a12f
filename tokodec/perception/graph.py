"""Runs the graph of an ONNX file in torch: on any device, any batch and width that the graph allows, and with gradients.

Each operation is a row of ``OPERATIONS``, after its definition in the ONNX operator reference (up to version 11, as far as the
networks need that are read here), or what :mod:`tokodec.perception.fuse` makes of several. Whole numbers are shapes and places: they
stay on the CPU.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tokodec.errors import InputError
from tokodec.perception.onnxfile import Graph, Node

Settings = Mapping[str, Any]
Operation = Callable[[Sequence[Tensor], Settings], Tensor]


class GraphNetwork(nn.Module):
    """A graph of one input as a module. Raises InputError for an operation that is not in ``OPERATIONS``."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        unknown = sorted({node.kind for node in graph.nodes} - OPERATIONS.keys())
        if unknown or len(graph.inputs) != 1:
            raise InputError(f"a graph of {len(graph.inputs)} inputs with {', '.join(unknown) or 'known operations'} cannot be run here")
        self._input, self._outputs = graph.inputs[0], graph.outputs
        constants, aliases = dict(graph.constants), dict[str, str]()
        self._nodes = [node for node in graph.nodes if not _renames(node, constants, aliases)]
        self._whole = {name: t for name, t in constants.items() if not t.is_floating_point()}
        self._names = {name: f"constant{i}" for i, (name, t) in enumerate(constants.items()) if t.is_floating_point()}
        for name, buffer in self._names.items():
            self.register_buffer(buffer, constants[name])
        self._aliases = aliases
        self._uses = Counter(self._real(name) for node in self._nodes for name in node.inputs)
        self._uses.update(graph.outputs)

    def _real(self, name: str) -> str:
        return self._aliases.get(name, name)

    def _constants(self) -> dict[str, Tensor]:
        return self._whole | {name: self.get_buffer(buffer) for name, buffer in self._names.items()}

    def constant(self, name: str) -> Tensor:
        """A floating-point constant of the graph, where the module is. Raises KeyError."""
        return self.get_buffer(self._names[name])

    def forward(self, x: Tensor) -> Tensor:
        """The first output."""
        return self.values(x, self._outputs[:1])[0]

    def values(self, x: Tensor, names: Sequence[str]) -> list[Tensor]:
        """Values of the graph by name, for objectives that compare features. Raises InputError for a name that is not in it."""
        known, left = self._constants() | {self._input: x}, self._uses.copy()
        left.update(names)
        for node in self._nodes:
            inputs = [known[self._real(name)] for name in node.inputs]
            known[node.outputs[0]] = OPERATIONS[node.kind](inputs, node.settings)
            for name in map(self._real, node.inputs):
                left[name] -= 1
                if not left[name]:
                    del known[name]
        missing = [name for name in names if name not in known]
        if missing:
            raise InputError(f"the graph has no value {missing[0]!r}")
        return [known[name] for name in names]


def _renames(node: Node, constants: Mapping[str, Tensor], aliases: dict[str, str]) -> bool:
    """Whether a node only gives a constant another name, which is then kept."""
    source = aliases.get(node.inputs[0], node.inputs[0]) if node.inputs else ""
    if node.kind != "Identity" or source not in constants:
        return False
    aliases[node.outputs[0]] = source
    return True


def _padding(x: Tensor, settings: Settings) -> tuple[list[int], list[int]]:
    """Before and after, of each axis."""
    kernel = settings["kernel_shape"]
    count = len(kernel)
    if settings.get("auto_pad", "NOTSET") != "SAME_UPPER":
        pads = settings.get("pads", (0,) * 2 * count)
        return list(pads[:count]), list(pads[count:])
    totals: list[int] = []
    for size, side, stride, dilation in zip(x.shape[2:], kernel, _strides(settings), settings.get("dilations", (1,) * count), strict=True):
        totals.append(max((math.ceil(size / stride) - 1) * stride + (side - 1) * dilation + 1 - size, 0))
    return [t // 2 for t in totals], [t - t // 2 for t in totals]


def _strides(settings: Settings) -> tuple[int, ...]:
    return settings.get("strides", (1,) * len(settings["kernel_shape"]))


def _around(x: Tensor, settings: Settings, value: float) -> tuple[Tensor, tuple[int, ...]]:
    """The tensor, and the padding that is left to do; uneven padding is done here."""
    before, after = _padding(x, settings)
    if before == after and value == 0:
        return x, tuple(before)
    flat = [n for pair in zip(reversed(before), reversed(after), strict=True) for n in pair]
    return F.pad(x, flat, value=value) if any(flat) else x, (0,) * len(before)


def _conv(inputs: Sequence[Tensor], settings: Settings) -> Tensor:
    x, padding = _around(inputs[0], settings, 0.0)
    bias = inputs[2] if len(inputs) > 2 else None
    return F.conv2d(x, inputs[1], bias, _strides(settings), padding, settings.get("dilations", 1), settings.get("group", 1))


def _max_pool(inputs: Sequence[Tensor], settings: Settings) -> Tensor:
    x, _ = _around(inputs[0], settings, -math.inf)
    return F.max_pool2d(x, settings["kernel_shape"], _strides(settings))


def _average_pool(inputs: Sequence[Tensor], settings: Settings) -> Tensor:
    x, padding = _around(inputs[0], settings, 0.0)
    counted = bool(settings.get("count_include_pad", 0))
    return F.avg_pool2d(x, settings["kernel_shape"], _strides(settings), padding, count_include_pad=counted)


def _batch_norm(inputs: Sequence[Tensor], settings: Settings) -> Tensor:
    # Not F.batch_norm: on a processor its gradient is wrong where that of what follows comes in transposed (PyTorch 2.15).
    x, weight, bias, mean, variance = inputs
    scale = weight * (variance + settings.get("epsilon", 1e-5)).rsqrt()
    shape = (-1, *(1,) * (x.ndim - 2))
    return x * scale.view(shape) + (bias - mean * scale).view(shape)


def _reduce_mean(inputs: Sequence[Tensor], settings: Settings) -> Tensor:
    return inputs[0].mean(settings["axes"], keepdim=bool(settings.get("keepdims", 1)))


def _squeeze(inputs: Sequence[Tensor], settings: Settings) -> Tensor:
    return inputs[0].squeeze(settings["axes"])


def _unsqueeze(inputs: Sequence[Tensor], settings: Settings) -> Tensor:
    x = inputs[0]
    for axis in sorted(settings["axes"]):
        x = x.unsqueeze(axis)
    return x


def _slice(inputs: Sequence[Tensor], _: Settings) -> Tensor:
    x, starts, ends, axes, *steps = inputs
    cuts = [slice(None)] * x.ndim
    step = steps[0].tolist() if steps else [1] * len(axes)
    for axis, a, b, s in zip(axes.tolist(), starts.tolist(), ends.tolist(), step, strict=True):
        cuts[axis] = slice(a, b, s)
    return x[tuple(cuts)]


def _reshape(inputs: Sequence[Tensor], _: Settings) -> Tensor:
    x, shape = inputs
    return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(shape.tolist())])


def _hard_sigmoid(inputs: Sequence[Tensor], settings: Settings) -> Tensor:
    return (settings.get("alpha", 0.2) * inputs[0] + settings.get("beta", 0.5)).clamp(0, 1)


OPERATIONS: Mapping[str, Operation] = {
    "Add": lambda i, _: i[0] + i[1],
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Concat": lambda i, s: torch.cat(list(i), s["axis"]),
    "Conv": _conv,
    "Div": lambda i, _: i[0] / i[1],
    "Erf": lambda i, _: torch.erf(i[0]),
    "Gelu": lambda i, _: F.gelu(i[0]),
    "HardSigmoid": _hard_sigmoid,
    "Identity": lambda i, _: i[0],
    "Linear": lambda i, _: F.linear(i[0], i[1], i[2]),
    "MatMul": lambda i, _: i[0] @ i[1],
    "MaxPool": _max_pool,
    "Mul": lambda i, _: i[0] * i[1],
    "Pow": lambda i, _: i[0] ** i[1],
    "ReduceMean": _reduce_mean,
    "Relu": lambda i, _: F.relu(i[0]),
    "Reshape": _reshape,
    "Shape": lambda i, _: torch.tensor(i[0].shape),
    "Sigmoid": lambda i, _: torch.sigmoid(i[0]),
    "Slice": _slice,
    "Softmax": lambda i, s: torch.softmax(i[0], s.get("axis", 1)),
    "Sqrt": lambda i, _: torch.sqrt(i[0]),
    "Squeeze": _squeeze,
    "Sub": lambda i, _: i[0] - i[1],
    "Transpose": lambda i, s: i[0].permute(s["perm"]),
    "Unsqueeze": _unsqueeze,
}
