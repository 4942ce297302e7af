"""Strict YAML: each refusal with its exact place and words; what is accepted agrees with ruamel.yaml."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from diffloom.config.node import Branch, Findings, Leaf, Node, Row, Source
from diffloom.config.reader import DEEPEST, LARGEST, read
from diffloom.errors import ConfigError


def told(text: str) -> list[str]:
    """Everything that is wrong with a text, as a user sees it."""
    findings = Findings()
    try:
        read(text, source=Source("f.yaml"), findings=findings)
        findings.raise_any()
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


def values(node: Node | None) -> Any:
    if isinstance(node, Branch):
        return {key: values(entry.node) for key, entry in node.entries.items()}
    if isinstance(node, Row):
        return [values(item) for item in node.items]
    assert node is None or isinstance(node, Leaf)
    return node and node.value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "a: 1\nb: [1, 2",
            "f.yaml:2:9: not valid YAML: expected ',' or ']', but got the end of the text "
            "(while parsing a flow sequence that begins at line 2, column 4)",
        ),
        ("a:\n\tb: 1", "f.yaml:2:1: not valid YAML: a tab; indent with spaces"),
        ("a: b: c", "f.yaml:1:5: not valid YAML: mapping values are not allowed here"),
        ("ä: 'ö'\nb: \x07", "f.yaml:2:4: not valid YAML: the character U+0007 is not allowed"),
        (
            "a: 'x",
            "f.yaml:1:6: not valid YAML: found unexpected end of stream "
            "(while scanning a quoted scalar that begins at line 1, column 4)",
        ),
        (
            "- a\nb: 1",
            "f.yaml:2:1: not valid YAML: this line is not indented like the lines it belongs to "
            "(while parsing a block collection that begins at line 1, column 1)",
        ),
        ("[" * 99, "f.yaml:1:62: nested more than 60 levels deep"),
        ("b:\n  a: 1\n  a: 2", "f.yaml:3:3: b.a: given twice; first at f.yaml:2:3"),
        ("a: 1\n'a': 2", "f.yaml:2:1: a: given twice; first at f.yaml:1:1"),
        (
            "b: {<<: {a: 1}}",
            "f.yaml:1:5: b: the merge key `<<` is not allowed; take over another file with `extends:`",
        ),
        ("1: 2", "f.yaml:1:1: keys are text; write '1' in quotes"),
        ("a: {true: 2}", "f.yaml:1:5: a: keys are text; write 'true' in quotes"),
        ("? [1]\n: 2", "f.yaml:1:3: keys are text, not lists or mappings"),
        ("a: !!float 3", "f.yaml:1:4: a: the tag '!!float' is not allowed; write the plain value"),
        ("a: ! 3", "f.yaml:1:4: a: the tag '!' is not allowed; write the plain value"),
        ("a: [1, !x {b: 1}]", "f.yaml:1:8: a[1]: the tag '!x' is not allowed; write the plain value"),
        ("!!str a: 1", "f.yaml:1:1: the tag '!!str' is not allowed; write the plain value"),
        ("a: &a [1, *a]", "f.yaml:1:11: a[1]: the alias *a stands inside its own anchor"),
        ("a: *z", "f.yaml:1:4: a: the alias *z has no anchor before it"),
        ("---\na: 1\n---\nb: 2", "f.yaml:4:1: a second document begins here; a file holds one"),
        ("a: " + "9" * 1001, "f.yaml:1:4: a: a number of 1001 digits is too long"),
    ],
)
def test_refusals(text: str, problem: str) -> None:
    assert told(text) == [problem]


def test_all_refusals_at_once() -> None:
    assert told("a: !x 1\nb: 1\nb: 2\n3: 4") == [
        "f.yaml:1:4: a: the tag '!x' is not allowed; write the plain value",
        "f.yaml:3:1: b: given twice; first at f.yaml:2:1",
        "f.yaml:4:1: keys are text; write '3' in quotes",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['touch {0}']",
        "a: !!python/object/new:subprocess.Popen [[touch, '{0}']]",
        "!!python/name:os.system : 1",
        "a: !!python/module:antigravity ''",
    ],
)
def test_yaml_cannot_run_code(text: str, tmp_path: Any) -> None:
    (problem,) = told(text.format(tmp_path / "ran"))
    assert "is not allowed; write the plain value" in problem
    assert not (tmp_path / "ran").exists()


def test_alias_bomb_is_refused_quickly() -> None:
    """Nine lines that mean 10⁹ values: the limit counts aliases written out, without writing them out."""
    pairs = zip("abcdefgh", "bcdefghi", strict=True)
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in pairs
    )
    (problem,) = told(bomb)
    assert problem.endswith(f"more than {LARGEST} values, aliases written out")
    assert problem.startswith("f.yaml:5:")


def test_aliases_repeat_their_anchor() -> None:
    node = read("a: &x {k: [1, 2]}\nb: *x\nc: *x", source=Source("f"), findings=Findings())
    assert values(node) == {"a": {"k": [1, 2]}, "b": {"k": [1, 2]}, "c": {"k": [1, 2]}}


def test_deepest_allowed_nesting() -> None:
    assert told("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1)) == []


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "---\n...\n"])
def test_nothing(text: str) -> None:
    assert read(text, source=Source("f"), findings=Findings()) is None


def test_positions() -> None:
    node = read("a:\n  b: 1\n  c: [x, 'y']\n", source=Source("f"), findings=Findings())
    assert isinstance(node, Branch)
    a = node.entries["a"]
    assert isinstance(a.node, Branch)
    c = a.node.entries["c"]
    assert isinstance(c.node, Row)
    places = [a.key_place, a.node.place, c.key_place, c.node.place, *(item.place for item in c.node.items)]
    assert [str(p) for p in places] == ["f:1:1", "f:2:3", "f:3:3", "f:3:6", "f:3:7", "f:3:10"]


def test_a_word_that_begins_with_a_colon() -> None:
    """YAML 1.2 has it plain everywhere; PyYAML wants quotes between brackets, and says where."""
    assert values(read("a: :0", source=Source("f"), findings=Findings())) == {"a": ":0"}
    with pytest.raises(ConfigError, match=r"^f:1:5: not valid YAML"):
        read("a: [:0]", source=Source("f"), findings=Findings())


plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abcxyz", min_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(plain_values)
def test_reads_what_ruamel_writes(value: Any) -> None:
    """Whatever another YAML 1.2 library writes is read back as the same values of the same types."""
    out = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = (
        False  # in flow style PyYAML refuses a plain word that begins with a colon: see below
    )
    yaml.dump({"a": value}, out)
    node = read(out.getvalue(), source=Source("f"), findings=(findings := Findings()))
    assert findings.found == []
    ours, theirs = (json.dumps(v, sort_keys=True) for v in (values(node), {"a": value}))
    assert ours == theirs  # as JSON, 1, 1.0 and true are told apart
