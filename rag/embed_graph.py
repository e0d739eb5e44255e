"""The bundled MiniLM, a BERT, as an ONNX graph of ONNX Runtime's fused operators, in fp32 or int8.

Matrices are int8 with a scale per column, activations with a scale per token or one that is known beforehand, so that
a text's vector does not depend on the batch it came in. Activations have channels far larger than the rest: as in
SmoothQuant (arXiv 2211.10438), part of a channel's peak over its weights' moves from the activations into the matrix,
where it costs nothing.

Processors without VNNI sum the products of two neighbouring bytes in 16 bits, which matrices of 8 bits overflow (ONNX
Runtime's documentation, "Quantize ONNX models", on AVX2 and U8S8). Columns are rounded so that no two of theirs do:
all processors have the same sums.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Array = NDArray[Any]
FUSED = "com.microsoft"
OPSETS = (helper.make_opsetid("", 19), helper.make_opsetid(FUSED, 1))
IR_VERSION = 10
ZERO, STEPS = 128, 127
"""What zero is among an activation's 256 steps, and how many the largest value is away from it."""
SHARE, NORMED_SHARE = 0.55, 0.7
"""SmoothQuant's alpha, how much of a channel's peak moves: of what is rounded by token, and of a layer norm's states.
Chosen for the least cosine to fp32 over the 500 texts of its test: .9945; .5 and a scale per token everywhere: .992."""


@dataclass(slots=True)
class Graph:
    """Nodes and constants as they are added; `linear_inputs` is what each matrix multiplies, by its name."""

    nodes: list[NodeProto] = field(default_factory=list)
    constants: dict[str, TensorProto] = field(default_factory=dict)
    linear_inputs: dict[str, str] = field(default_factory=dict)

    def constant(self, name: str, value: Any, kind: type = np.float32) -> str:
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value, kind), name)
        return name

    def add(self, kind: str, *inputs: str, domain: str = "", out: str = "", **attributes: Any) -> str:
        """Append a node of one output; returns the output's name."""
        out = out or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], name=out, domain=domain, **attributes))
        return out

    def model(self, *more: str) -> ModelProto:
        """From ids and mask (n, t) to "tokens" (n, t, d) and "text" (n, d), and the tensors named by `more`."""
        integers, floats = TensorProto.INT64, TensorProto.FLOAT
        inputs = [helper.make_tensor_value_info(name, integers, ["n", "t"]) for name in ("ids", "mask")]
        outputs = [helper.make_tensor_value_info(name, floats, None) for name in ("tokens", "text", *more)]
        graph = helper.make_graph(self.nodes, "encoder", inputs, outputs, list(self.constants.values()))
        return helper.make_model(graph, opset_imports=OPSETS, ir_version=IR_VERSION)


@dataclass(frozen=True, slots=True)
class Bert:
    """What is drawn: its weights by their names, and its config.json. Given `peaks`, the largest absolute value of
    each channel of what each matrix multiplies, the matrices are int8.
    """

    weights: Mapping[str, Array]
    config: Mapping[str, Any]
    peaks: Mapping[str, Array] | None = None

    def draw(self) -> Graph:
        graph = Graph()
        mask = graph.add("Cast", "mask", to=TensorProto.INT32)
        states = self._embeddings(graph)
        for layer in range(self.config["num_hidden_layers"]):
            states = self._layer(graph, f"encoder.layer.{layer}.", states, mask)
        graph.add("Identity", states, out="tokens")
        mean_pool(graph, states)
        return graph

    def _norm(self, graph: Graph, name: str) -> tuple[str, str]:
        names = f"{name}.LayerNorm.weight", f"{name}.LayerNorm.bias"
        return graph.constant(names[0], self.weights[names[0]]), graph.constant(names[1], self.weights[names[1]])

    def _embeddings(self, graph: Graph) -> str:
        part = {
            kind: self.weights[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")
        }
        places = graph.constant("places", part["position"] + part["token_type"][0])
        axis, width = graph.constant("first", [0], np.int64), graph.add("Shape", "ids", start=1, end=2)
        words = graph.add("Gather", graph.constant("words", part["word"]), "ids")
        total = graph.add("Add", words, graph.add("Slice", places, axis, width))
        scale = self._norm(graph, "embeddings")
        return graph.add("LayerNormalization", total, *scale, epsilon=self.config["layer_norm_eps"])

    def _layer(self, graph: Graph, at: str, states: str, mask: str) -> str:
        mixed = self._attention(graph, f"{at}attention.", states, mask)
        states = self._add_and_norm(graph, f"{at}attention.output", mixed, states, smooth=True)
        inner = f"{at}intermediate.dense"
        wide = self._normed_linear(graph, inner, states, self.weights[f"{inner}.weight"])
        wide = graph.add("BiasGelu", wide, graph.constant(f"{inner}.bias", self.weights[f"{inner}.bias"]), domain=FUSED)
        return self._add_and_norm(graph, f"{at}output", wide, states)

    def _attention(self, graph: Graph, at: str, states: str, mask: str) -> str:
        """The values, which attention only mixes, leave it as the matrix after it wants them divided."""
        after = f"{at}output.dense"
        factor = self._factor(after, self.weights[f"{after}.weight"], SHARE)
        parts = [f"{at}self.{part}" for part in ("query", "key", "value")]
        even = np.concatenate([np.ones(2 * len(factor), np.float32), factor])
        matrix = np.concatenate([self.weights[f"{part}.weight"] for part in parts]) / even[:, None]
        bias = np.concatenate([self.weights[f"{part}.bias"] for part in parts]) / even
        joined = self._normed_linear(graph, f"{at}self", states, matrix)
        graph.nodes.append(helper.make_node("Split", [joined], parts, axis=2, num_outputs=3))
        biases, heads = graph.constant(f"{at}self.bias", bias), self.config["num_attention_heads"]
        return graph.add("MultiHeadAttention", *parts, biases, mask, domain=FUSED, num_heads=heads)

    def _add_and_norm(self, graph: Graph, name: str, inner: str, states: str, smooth: bool = False) -> str:
        """Sum and norm apart: fused, as SkipLayerNormalization, ONNX Runtime takes three times as long on the CPU."""
        inner = self._linear(graph, f"{name}.dense", inner, smooth)
        bias = graph.constant(f"{name}.dense.bias", self.weights[f"{name}.dense.bias"])
        total = graph.add("Add", graph.add("Add", inner, bias), states)
        return graph.add("LayerNormalization", total, *self._norm(graph, name), epsilon=self.config["layer_norm_eps"])

    def _normed_linear(self, graph: Graph, name: str, states: str, weight: Array) -> str:
        """`_linear` for a layer norm's states: tokens are alike in size, and one step does for all."""
        graph.linear_inputs[name] = states
        if self.peaks is None:
            return graph.add("MatMul", states, graph.constant(name, weight.T))
        factor = self._factor(name, weight, NORMED_SHARE)
        factor *= np.max(self.peaks[name] / factor) / STEPS
        return int8_product(graph, name, weight.T * factor[:, None], divided(graph, name, states, factor))

    def _linear(self, graph: Graph, name: str, states: str, smooth: bool = False) -> str:
        """`states` (n, t, k) by the matrix `name` (m, k), transposed; without a bias. `smooth` ones are divided."""
        graph.linear_inputs[name] = states
        weight = self.weights[f"{name}.weight"]
        if self.peaks is None:
            return graph.add("MatMul", states, graph.constant(name, weight.T))
        factor = self._factor(name, weight, SHARE)
        even = states if smooth else divided(graph, name, states, factor)
        return int8_linear(graph, name, weight.T * factor[:, None], even)

    def _factor(self, name: str, weight: Array, share: float) -> Array:
        """What each channel (k,) of a matrix's input is divided by, and the weights (m, k) multiplied."""
        if self.peaks is None:
            return np.ones(weight.shape[1], np.float32)
        return np.asarray(np.maximum(self.peaks[name], 1e-3) ** share / np.abs(weight).max(0) ** (1 - share))


def divided(graph: Graph, name: str, states: str, factor: Array) -> str:
    """`states` with each channel divided by its factor."""
    return graph.add("Mul", states, graph.constant(f"{name}.factor", 1 / factor))


def int8_linear(graph: Graph, name: str, matrix: Array, states: str) -> str:
    """`states` (n, t, k) by `matrix` (k, m), both rounded to 8 bits: by token, and by column."""
    peak = graph.add("ReduceMax", graph.add("Abs", states), graph.constant("channels", [2], np.int64), keepdims=1)
    step = graph.add("Mul", peak, graph.constant("step", 1 / STEPS))
    return graph.add("Mul", int8_product(graph, name, matrix, graph.add("Div", states, step)), step)


def int8_product(graph: Graph, name: str, matrix: Array, states: str) -> str:
    """`int8_linear` of states that are at most `STEPS`, rounded as they are."""
    one, zero = graph.constant("one", 1), graph.constant("zero", ZERO, np.uint8)
    scale = steps_without_overflow(matrix)
    return graph.add(
        "MatMulIntegerToFloat",
        graph.add("QuantizeLinear", states, one, zero),
        graph.constant(name, np.rint(matrix / scale), np.int8),
        one,
        graph.constant(f"{name}.scale", scale),
        zero,
        graph.constant(f"{name}.zero", np.zeros(matrix.shape[1]), np.int8),
        domain=FUSED,
    )


def steps_without_overflow(matrix: Array) -> Array:
    """The step of each column (k, m): two neighbours of one sign add up to 128 steps at most, 255 times which is less
    than 2 ** 15, and each is 127 at most.
    """
    neighbours = matrix.reshape(-1, 2, matrix.shape[1])
    together = np.where(neighbours.prod(1) > 0, np.abs(neighbours.sum(1)), 0)
    return np.asarray(np.maximum(np.abs(matrix).max(0), together.max(0)) / 127)


def mean_pool(graph: Graph, states: str) -> None:
    """The mean of the tokens that `mask` keeps, as "text"."""
    axis = graph.constant("token.axis", [1], np.int64)
    mask = graph.add("Cast", "mask", to=TensorProto.FLOAT)
    weight = graph.add("Unsqueeze", mask, graph.constant("channel.axis", [2], np.int64))
    total = graph.add("ReduceSum", graph.add("Mul", states, weight), axis, keepdims=0)
    graph.add("Div", total, graph.add("ReduceSum", weight, axis, keepdims=0), out="text")
