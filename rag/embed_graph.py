"""The bundled MiniLM, a BERT, as an ONNX graph of ONNX Runtime's fused operators, in fp32 or int8.

Matrices are int8 with a scale per column, activations with a scale per token, so that a text's vector does not depend
on the batch it came in. Activations have channels far larger than the rest: as in SmoothQuant (arXiv 2211.10438), the
square root of a channel's peak over its weights' moves from the activations into the matrix, where it costs nothing.

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
ZERO = 128
"""What zero is among an activation's 256 steps."""


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
        parts = [f"{at}attention.self.{part}" for part in ("query", "key", "value")]
        matrix = np.concatenate([self.weights[f"{part}.weight"] for part in parts])
        bias = graph.constant(f"{at}qkv.bias", np.concatenate([self.weights[f"{part}.bias"] for part in parts]))
        graph.nodes.append(
            helper.make_node("Split", [self._linear(graph, f"{at}qkv", matrix, states)], parts, axis=2, num_outputs=3)
        )
        heads = self.config["num_attention_heads"]
        mixed = graph.add("MultiHeadAttention", *parts, bias, mask, domain=FUSED, num_heads=heads)
        states = self._add_and_norm(graph, f"{at}attention.output", mixed, states)
        inner = f"{at}intermediate.dense"
        wide = self._linear(graph, inner, self.weights[f"{inner}.weight"], states)
        wide = graph.add("BiasGelu", wide, graph.constant(f"{inner}.bias", self.weights[f"{inner}.bias"]), domain=FUSED)
        return self._add_and_norm(graph, f"{at}output", wide, states)

    def _add_and_norm(self, graph: Graph, name: str, inner: str, states: str) -> str:
        """Sum and norm apart: fused, as SkipLayerNormalization, ONNX Runtime takes three times as long on the CPU."""
        inner = self._linear(graph, f"{name}.dense", self.weights[f"{name}.dense.weight"], inner)
        bias = graph.constant(f"{name}.dense.bias", self.weights[f"{name}.dense.bias"])
        total = graph.add("Add", graph.add("Add", inner, bias), states)
        return graph.add("LayerNormalization", total, *self._norm(graph, name), epsilon=self.config["layer_norm_eps"])

    def _linear(self, graph: Graph, name: str, weight: Array, states: str) -> str:
        """`states` (n, t, k) by `weight` (m, k), transposed; without a bias."""
        graph.linear_inputs[name] = states
        if self.peaks is None:
            return graph.add("MatMul", states, graph.constant(name, weight.T))
        factor = np.sqrt(np.maximum(self.peaks[name], 1e-3) / np.abs(weight).max(0))
        return int8_linear(
            graph,
            name,
            weight.T * factor[:, None],
            graph.add("Mul", states, graph.constant(f"{name}.factor", 1 / factor)),
        )


def int8_linear(graph: Graph, name: str, matrix: Array, states: str) -> str:
    """`states` (n, t, k) by `matrix` (k, m), both rounded to 8 bits: by token, and by column."""
    k, m = matrix.shape
    last = graph.constant("last", [1], np.int64)
    flat = graph.add("Reshape", states, graph.constant(f"rows.{k}", [-1, k], np.int64))
    peak = graph.add("ReduceMax", graph.add("Abs", flat), last, keepdims=1)
    step = graph.add("Mul", peak, graph.constant("steps", 1 / (ZERO - 1)))
    steps = graph.add("Squeeze", step, last)
    zeros = graph.add("Expand", graph.constant("zero", [ZERO], np.uint8), graph.add("Shape", steps))
    rounded = graph.add("QuantizeLinear", flat, steps, zeros, axis=0)
    scale = steps_without_overflow(matrix)
    product = graph.add(
        "MatMulIntegerToFloat",
        rounded,
        graph.constant(name, np.rint(matrix / scale), np.int8),
        graph.constant("one", 1),
        graph.constant(f"{name}.scale", scale),
        graph.constant("scalar.zero", ZERO, np.uint8),
        graph.constant(f"{name}.zero", np.zeros(m), np.int8),
        domain=FUSED,
    )
    shape = graph.add("Concat", graph.add("Shape", "ids"), graph.constant(f"width.{m}", [m], np.int64), axis=0)
    return graph.add("Reshape", graph.add("Mul", product, step), shape)


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
