"""The docstrings below a class's fields, read from its source when somebody asks.

pydantic would read them when a class is made, which for all components together takes longer than everything else that
loading the plugins does.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from functools import cache
from itertools import pairwise


@cache
def field_docs(model: type) -> Mapping[str, str]:
    """By name, those of the fields that the class itself annotates; none for a class whose source is not at hand."""
    try:
        source = textwrap.dedent(inspect.getsource(model))
    except (OSError, TypeError):  # TypeError: of a module that comes from no file
        return {}
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef), "the source of a class defines it"
    found = {}
    for field, text in pairwise(definition.body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        ):
            found[field.target.id] = inspect.cleandoc(text.value.value)
    return found
