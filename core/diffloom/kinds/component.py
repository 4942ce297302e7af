"""The base of every component: a frozen configuration that can build the thing it describes."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from diffloom.kinds.field_docs import field_docs

if TYPE_CHECKING:
    from typing import Self

    from torch import nn

    from diffloom.bridge import Bridge


class Section(BaseModel):
    """A frozen group of YAML keys. Unknown keys and values of another type are errors.

    Fields are immutable too: `tuple` rather than `list`, `Literal` rather than `Enum`.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True
    )  # validators are built when one is first needed: a program uses a few of two hundred

    @classmethod
    def field_doc(cls, name: str) -> str:
        """What the docstring below a field says, in the class that last annotates it; "" where there is none."""
        owner = next((base for base in cls.__mro__ if name in inspect.get_annotations(base)), None)
        return "" if owner is None else field_docs(owner).get(name, "")


class Component(Section):
    """A part a YAML file can name.

    The fields are the YAML keys, the defaults, the documentation and the schema. A module that defines
    components does not import torch; `build()` does. Each kind's base says what its `build()` receives and returns.
    A subclass sets `name`, the word after `type:`; its first docstring line is its one-line description.
    """

    kind: ClassVar[str]
    """The word for this kind of part: `backbone`, `sampler`, ..."""
    name: ClassVar[str]
    """The component's own name; with its distribution in front it is canonical: `acme-moon/unet`."""
    canonical: ClassVar[str] = ""
    """`distribution/name`; set when the component is registered, or imported after that."""
    equation: ClassVar[str] = ""
    """What it computes, in a line for `diffloom explain`; a field of its own stands in braces.

    The symbols are those of docs/mathematics.md: F is the network's output, c the condition, x̂₀ and ε̂ what follows
    from F, t a time, s the cleaner one that a step goes to, z fresh noise; α and σ without an index are those of t. A
    derived component says its own, or none.
    """

    @classmethod
    def __pydantic_init_subclass__(cls, **given: Any) -> None:
        super().__pydantic_init_subclass__(**given)
        if canonical := _registered_before.get(f"{cls.__module__}.{cls.__qualname__}"):
            cls.canonical = canonical

    @classmethod
    def specimens(cls, folder: Path) -> Iterable[Self]:
        """The configurations that the conformance kit examines; `folder` is empty, for parts that read files.

        Override it where a field has no default, where the default is large, or where one configuration does not
        show all that the component can do.
        """
        return (cls(),)

    def weighted(self, module: nn.Module) -> Iterator[tuple[Section, nn.Module]]:
        """Itself with `module`, which it built; or its sections that build networks of their own, each with its own."""
        yield self, module

    @classmethod
    def bridges(cls) -> Iterable[Bridge]:
        """How other programs keep the weights of what this component builds (`diffloom.bridge`); may import torch."""
        return ()

    def digests(self) -> Mapping[str, str | None]:
        """What a recipe says of the models that it reads when built: the digest of each one's weights, by its source.

        The source is as the fields have it. None stands for weights that have no digest, as those of other programs.
        """
        return {}

    @classmethod
    def is_kind(cls) -> bool:
        """Whether this class is a kind's base (it has a kind and no name) and not a component."""
        return "kind" in cls.__dict__


_registered_before: dict[str, str] = {}
"""`module.Class` → canonical name, of components that are registered and not imported yet."""


def canonical_when_imported(path: str, canonical: str) -> None:
    """The component that will be at `path`, `module.Class`, is to have this canonical name."""
    _registered_before[path] = canonical


class Default:
    """Names the component that stands in a field when the YAML says nothing.

    Written `variance: Annotated[Variance, Default("fixed_small")]`: a name, so that core need not import a plugin.
    """

    def __init__(self, value: str | dict[str, Any]) -> None:
        self.value = value
