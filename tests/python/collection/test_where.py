"""Conditions on metadata: plain Python is the oracle, and what is malformed is named."""

import json
import operator

import numpy as np
import pytest
from collection_tools import DIM, ids_of, vectors_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nearfield as nf
from nearfield.collection.fields import Field
from nearfield.collection.metadata import as_json, as_metadata
from nearfield.collection.where import parse

BIG = 2**53
ORDER = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([BIG, BIG + 1, -BIG - 1]),
    st.sampled_from([0.5, -0.0, 1.0, 2.5, 1e300]), st.sampled_from(["", "a", "ab", "b", "한"]),
)  # fmt: skip
METADATA = st.fixed_dictionaries(
    {},
    optional={
        "x": VALUES,
        "y": st.lists(VALUES, max_size=3),
        "z": st.fixed_dictionaries({}, optional={"x": VALUES}),
    },
)
FIELDS = st.sampled_from(["x", "y", "z.x", "none"])
ORDERED = st.one_of(st.integers(-3, 3), st.sampled_from([BIG, BIG + 1, 0.5, "a", "b", -0.0]))
TESTS = st.one_of(
    VALUES,
    st.tuples(st.sampled_from(["==", "!=", "contains"]), VALUES).map(lambda t: dict([t])),
    st.tuples(st.sampled_from(["<", "<=", ">", ">="]), ORDERED).map(lambda t: dict([t])),
    st.tuples(st.sampled_from(["in", "not in"]), st.lists(VALUES, max_size=7)).map(
        lambda t: dict([t])
    ),
    st.booleans().map(lambda yes: {"exists": yes}),
)
WHERE = st.recursive(
    st.dictionaries(FIELDS, TESTS, max_size=2),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(lambda parts: {"$or": parts}),
        st.lists(inner, max_size=2).map(lambda parts: {"$and": parts}),
        inner.map(lambda part: {"$not": part}),
    ),
    max_leaves=4,
)


def same(a, b):
    if isinstance(a, bool) or isinstance(b, bool):
        return isinstance(a, bool) and isinstance(b, bool) and a == b
    return (type(a) is type(b) and a == b) or (is_number(a) and is_number(b) and a == b)


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def reads(metadata, field):
    value = metadata
    for part in field.split("."):
        if not isinstance(value, dict) or part not in value:
            return False, None
        value = value[part]
    return True, value


def holds(metadata, where):
    """What `where` means, said slowly."""
    for key, value in where.items():
        if key == "$and":
            ok = all(holds(metadata, part) for part in value)
        elif key == "$or":
            ok = any(holds(metadata, part) for part in value)
        elif key == "$not":
            ok = not holds(metadata, value)
        else:
            tests = value if isinstance(value, dict) else {"==": value}
            ok = all(compares(*reads(metadata, key), op, operand) for op, operand in tests.items())
        if not ok:
            return False
    return True


def compares(there, value, op, operand):
    if op == "exists":
        return there == operand
    if op in ("!=", "not in"):
        return not compares(there, value, "==" if op == "!=" else "in", operand)
    if not there:
        return False
    if op == "==":
        return same(value, operand)
    if op == "in":
        return any(same(value, one) for one in operand)
    if op == "contains":
        if isinstance(value, str):
            return isinstance(operand, str) and operand in value
        return isinstance(value, list) and any(same(one, operand) for one in value)
    if (is_number(value) and is_number(operand)) or (
        isinstance(value, str) and isinstance(operand, str)
    ):
        return ORDER[op](value, operand)
    return False


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(METADATA, max_size=12), where=WHERE)
def test_conditions_mean_what_python_says(rows, where):
    condition = parse(where)
    fields = {name: Field(name) for name in condition.fields}
    codes = {name: field.encode(rows) for name, field in fields.items()}

    def test(test):
        if not test.field:
            return np.ones(len(rows), bool)
        return fields[test.field].matches(test, codes[test.field])

    assert condition.mask(test).tolist() == [holds(row, where) for row in rows]


@pytest.fixture
def docs(tmp_path):
    with nf.Collection(tmp_path / "docs", dim=DIM, seal_rows=64, fields=["year"]) as collection:
        rows = [{"year": 2000 + i % 25, "lang": "ko" if i % 3 else "en", "tags": [f"t{i % 5}"]}
                for i in range(200)]  # fmt: skip
        collection.add(vectors=vectors_of(200), metadata=rows)
        collection.catch_up(20)
        yield collection


WHERES = [
    {"lang": "ko"},
    {"lang": "ko", "year": {">=": 2010, "<": 2020}},
    {"$or": [{"lang": "en"}, {"year": 2003}]},
    {"tags": {"contains": "t3"}, "$not": {"lang": "en"}},
    {"year": {"in": list(range(2000, 2012))}},
    {"lang": {"not in": ["ko"]}},
    {"nothing": {"exists": False}},
    {"nothing": {"exists": True}},
    {},
]


@pytest.mark.parametrize("where", WHERES, ids=json.dumps)
def test_search_count_and_iterate_agree_through_writes_and_reopening(where, docs, tmp_path):
    vectors = vectors_of(260)

    def check(docs):
        truth = {item.id for item in docs if holds(item.metadata, where)}
        assert set(ids_of(docs.search(vectors[0], k=300, where=where))) == truth
        assert docs.count(where) == len(truth)
        assert {item.id for item in docs.iterate(where)} == truth

    check(docs)
    docs.add(
        ids=list(range(200, 260)), vectors=vectors[200:], metadata=[{"lang": "ko"}] * 30 + [{}] * 30
    )
    docs.upsert([1], vectors=vectors[:1], metadata={"lang": "new", "year": 2003})
    docs.delete([0, 2, 201])
    check(docs)
    docs.catch_up(20)
    check(docs)
    docs.compact()
    check(docs)
    docs.close()
    with nf.Collection(tmp_path / "docs") as again:
        check(again)


def test_values_of_different_types_are_never_equal(docs):
    docs.add(ids=[900, 901, 902, 903], vectors=vectors_of(4),
             metadata=[{"v": 1}, {"v": True}, {"v": "1"}, {"v": 1.0}])  # fmt: skip
    assert [item.id for item in docs.iterate({"v": 1})] == [900, 903]
    assert [item.id for item in docs.iterate({"v": True})] == [901]
    assert [item.id for item in docs.iterate({"v": "1"})] == [902]
    assert [item.id for item in docs.iterate({"v": {"<=": 1}})] == [900, 903]


MALFORMED = [
    ([], TypeError, "where must be a dict, got list"),
    ({1: 2}, TypeError, "where must have str keys, got 1"),
    ({"$xor": []}, ValueError, r"where must use '\$and', '\$or' or '\$not', got '\$xor'"),
    ({"$or": {"a": 1}}, TypeError, r"where\['\$or'\] must be a list, got dict"),
    ({"a": {}}, ValueError, r"where\['a'\] must hold a comparison"),
    ({"a": {"=": 1}}, ValueError, "where must compare by one of '==', .* got '='"),
    ({"a": {"$gt": 1}}, ValueError, r"where must compare by one of .* got '\$gt'"),
    ({"a": [1]}, TypeError, r"where\['a'\] must be a str, number, bool or None, got list"),
    ({"a": {"<": True}}, TypeError, r"where\['a'\]\['<'\] must be a number or a str.* got True"),
    ({"a": {"<": None}}, TypeError, "must be a number or a str, which have an order, got None"),
    ({"a": float("nan")}, ValueError, r"where\['a'\] must be a number, got nan"),
    ({"a": 2**63}, ValueError, r"where\['a'\] must fit int64, got 9223372036854775808"),
    ({"a": {"in": "text"}}, TypeError, r"where\['a'\]\['in'\] must be a list, got str"),
    ({"a": {"in": [[1]]}}, TypeError, r"where\['a'\]\['in'\]\[0\] must be a str, number"),
    ({"a": {"exists": 1}}, TypeError, r"where\['a'\]\['exists'\] must be True or False, got 1"),
    ({"a": {"in": [0] * 70_000}}, ValueError, "must list at most 65536 values, got 70000"),
    ({"$or": [{"a": 1}] * 2000}, ValueError, "where must have at most 1024 comparisons"),
]


@pytest.mark.parametrize("where,error,message", MALFORMED, ids=[str(case[2]) for case in MALFORMED])
def test_malformed_conditions_are_refused_by_name(where, error, message, docs):
    for call in (
        lambda: docs.search(np.ones(DIM), where=where),
        lambda: docs.count(where),
        lambda: next(docs.iterate(where)),
    ):
        with pytest.raises(error, match=message):
            call()


def test_depth_is_bounded(docs):
    where = {"a": 1}
    for _ in range(40):
        where = {"$not": where}
    with pytest.raises(ValueError, match="where must be at most 32 levels deep"):
        docs.count(where)


ANYTHING = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(),
        st.sampled_from(["$and", "$or", "$not", "$x", "==", "in", "exists", "contains"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.text(max_size=3), st.integers(),
                st.sampled_from(["$and", "$or", "$not", "==", "<", "in", "not in", "exists"]),
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(anything=ANYTHING)
def test_whatever_is_handed_over_is_read_or_refused_by_name(anything):
    try:
        condition = parse(anything)
    except (TypeError, ValueError) as refusal:
        assert "where" in str(refusal)
    else:
        assert parse(anything).key == condition.key
        fields = {name: Field(name) for name in condition.fields}
        rows = [{}, {"a": 1}, anything if isinstance(anything, dict) else {}]
        for field in fields.values():
            field.encode([row for row in rows if all(isinstance(key, str) for key in row)])


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(anything=ANYTHING)
def test_metadata_comes_back_as_it_went_in_or_is_refused_by_name(anything):
    try:
        text = as_json(anything, "metadata[3]")
    except (TypeError, ValueError) as refusal:
        assert str(refusal).startswith("metadata[3]")
    else:
        assert as_metadata(text) == (anything or {})
