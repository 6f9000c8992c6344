"""A name that is imported when it is used stands for what it names, whatever is done with it."""

from __future__ import annotations

import ast
import gc
import importlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from ferryman.lazy import LazyName, collector_at_rest, lazy_names

if TYPE_CHECKING:
    from collections.abc import Iterator

LIB = Path(__file__).parents[2] / "lib"
PACKAGES = ["ferryman.config", "ferryman.cookbook"]
"""Those that have names to be imported late."""

MODULE = """
from typing import Generic, TypeVar
T = TypeVar("T")
class Thing(Generic[T]):
    kind = "thing"
    def __init__(self, size=1):
        self.size = size
def double(number):
    return 2 * number
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module that nobody has imported yet."""
    (tmp_path / "late_module.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "late_module"
    sys.modules.pop("late_module", None)


@pytest.fixture
def thing(module: str) -> type[Any]:
    return cast("type[Any]", LazyName(module, "Thing"))  # a type checker is shown the class itself


def test_naming_it_imports_nothing(thing: type[Any], module: str) -> None:
    assert "imported when it is used" in repr(thing)
    assert module not in sys.modules


def test_it_is_called_subclassed_and_asked_as_the_class_itself(thing: type[Any]) -> None:
    class Own(thing[int]):  # type: ignore[misc]  # a type checker does not know which class
        pass

    class Plain(thing):  # type: ignore[misc]  # the same
        pass

    made = thing(size=3)
    assert made.size == 3
    assert thing.kind == "thing"
    assert isinstance(made, thing)
    assert not isinstance(1, thing)
    assert issubclass(Own, thing)
    assert isinstance(Plain(), thing)
    assert Plain.__mro__[1] is type(made)
    assert isinstance(None, thing | None)
    assert isinstance(made, None | thing)


def test_a_function_is_called(module: str) -> None:
    double: Any = LazyName(module, "double")
    assert double(4) == 8


def test_what_a_test_puts_in_the_place_of_a_method_is_put_into_the_class(
    thing: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = thing()
    with monkeypatch.context() as patch:
        patch.setattr(thing, "kind", "another")
        assert made.kind == "another"
    assert made.kind == "thing"


def test_a_module_that_cannot_be_imported_says_so_when_it_is_used() -> None:
    gone: Any = LazyName("no_such_module_anywhere", "Thing")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_anywhere"):
        gone()


def test_a_name_that_a_package_does_not_have_is_an_import_error_as_ever(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match="cannot import name 'Ferri'"):
        exec("from ferryman.cookbook import Ferri")
    names = lazy_names("package", when_used={"module": ["Thing"]})
    with pytest.raises(AttributeError, match="module 'package' has no attribute 'Thin'"):
        names("Thin")


def test_the_true_thing_comes_where_no_stand_in_will_do(module: str) -> None:
    found = lazy_names("package", when_named={module: ["Thing"]})("Thing")
    assert found is sys.modules[module].Thing


@pytest.mark.parametrize("package", PACKAGES)
def test_what_a_type_checker_is_shown_is_what_is_imported(package: str) -> None:
    """The names stand twice: once for it, once in the table of modules."""
    tree = ast.parse((LIB / package.replace(".", "/") / "__init__.py").read_text())
    (choice,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in choice.body if isinstance(node, ast.ImportFrom)]
    tables = [ast.literal_eval(node) for node in ast.walk(choice) if isinstance(node, ast.Dict)]
    listed = [(module, name) for table in tables for module, names in table.items() for name in names]
    shown = [(str(node.module), alias.name) for node in imports for alias in node.names]
    assert sorted(listed) == sorted(shown)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_of_a_package_is_there(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        found = getattr(module, name)
        assert (found.resolved() if isinstance(found, LazyName) else found) is not None


def test_the_collector_is_at_rest_meanwhile_and_at_work_again_whatever_happens() -> None:
    states = [gc.isenabled()]

    def fail() -> None:
        with collector_at_rest():
            states.append(gc.isenabled())
            raise ImportError

    with pytest.raises(ImportError):
        fail()
    assert [*states, gc.isenabled()] == [True, False, True]


def test_a_collector_that_was_at_rest_stays_so() -> None:
    gc.disable()
    try:
        with collector_at_rest():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


INVOKE = """
import sys
{first}
from ferryman.hosts.ssh_library import paramiko
assert paramiko.config.invoke is {seen}, paramiko.config.invoke
import invoke
assert invoke.run
"""


@pytest.mark.parametrize(
    ("first", "seen"),
    [("", "None"), ("import invoke", "sys.modules['invoke']")],
    ids=["nobody wants it", "a cookbook has it already"],
)
def test_invoke_is_kept_from_paramiko_alone(first: str, seen: str) -> None:
    """In a process of its own: here paramiko has been imported."""
    script = INVOKE.format(first=first, seen=seen)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
