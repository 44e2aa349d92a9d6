"""What a question in PromQL asks for: read by a parser of PromQL, never by patterns. Where the library is there, by that (on a
host, whose Prometheus shows nobody how it reads); otherwise by the Prometheus that will answer, which does from version 3 on."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

Selector = list[tuple[str, str, str]]  # its matchers: (label, operator, value); the metric's name is __name__

# It selects by itself what nobody wrote (target_info).
SELECTING = {"info"}
# What of a node is an expression again, by the words of Prometheus' tree.
PARTS = {
    "aggregation": ("expr", "param"),
    "binaryExpr": ("lhs", "rhs"),
    "call": ("args",),
    "numberLiteral": (),
    "parenExpr": ("expr",),
    "stringLiteral": (),
    "subquery": ("expr",),
    "unaryExpr": ("expr",),
    "matrixSelector": (),
    "vectorSelector": (),
}


async def selectors(question: str, prometheus: Any) -> list[Selector]:
    """ValueError: it cannot be read, or holds what is not known here."""
    try:
        import promql_parser as library
    except ImportError:
        return list(in_tree(await tree(question, prometheus)))
    try:
        expression = library.parse(question)
    except ValueError:
        raise
    except BaseException as error:  # a panic in it is no Exception
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError("the reader failed") from error
    return list(in_expression(expression, library))


async def tree(question: str, prometheus: Any) -> Any:
    response = await prometheus.fetch("api/v1/parse_query?" + urlencode({"query": question}))
    if response.code != 200:
        raise ValueError("Prometheus cannot read it")
    return json.loads(response.body)["data"]


def in_tree(top: Any) -> Iterator[Selector]:
    left = [top]
    while left:
        node = left.pop()
        if node is None:
            continue
        kind = node["type"]
        if kind not in PARTS or (kind == "call" and node["func"]["name"] in SELECTING):
            raise ValueError(f"not known: {kind}")
        if kind in ("matrixSelector", "vectorSelector"):
            yield [(one["name"], one["type"], one["value"]) for one in node["matchers"]]
        for part in PARTS[kind]:
            left += node[part] if part == "args" else [node[part]]


def in_expression(top: Any, library: Any) -> Iterator[Selector]:
    operators = {
        str(library.MatchOp.Equal): "=",
        str(library.MatchOp.NotEqual): "!=",
        str(library.MatchOp.Re): "=~",
        str(library.MatchOp.NotRe): "!~",
    }
    left = [top]
    while left:
        node = left.pop()
        match node:
            case library.VectorSelector():
                if node.matchers.or_matchers:  # of VictoriaMetrics; Prometheus has no such thing
                    raise ValueError('"or" between matchers')
                name = [("__name__", "=", node.name)] if node.name else []
                yield name + [(one.name, operators[str(one.op)], one.value) for one in node.matchers.matchers]
            case library.MatrixSelector():
                left.append(node.vector_selector)
            case library.Call():
                if node.func.name in SELECTING:
                    raise ValueError(f"not known: {node.func.name}()")
                left += node.args
            case library.AggregateExpr():
                left += [node.expr] + ([node.param] if node.param is not None else [])
            case library.BinaryExpr():
                left += [node.lhs, node.rhs]
            case library.ParenExpr() | library.UnaryExpr() | library.SubqueryExpr():
                left.append(node.expr)
            case library.NumberLiteral() | library.StringLiteral():
                pass
            case _:
                raise ValueError(f"not known: {type(node).__name__}")
