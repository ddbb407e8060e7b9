"""Every library that is imported is declared, every declared one is imported, and the locks hold what is declared."""

import ast
import re
import sys
from importlib.metadata import packages_distributions

import pytest

from tests.support.paths import ROOT, TESTS

PACKAGES = ("label_data", "reward", "workbench")
NOT_IMPORTED = {
    "gguf": "transformers imports it to read the packaged model's file",
    "mypy": "a command",
    "pandas-stubs": "read by mypy",
    "pytest-xdist": "a plugin of pytest",
    "ruff": "a command",
    "scipy-stubs": "read by mypy",
    "uv": "a command",
}
"""Declared, but imported by no file of this project -> why it is there."""
PINNED = re.compile(r"^([\w-]+)(?:\[[\w,]+\])?==(\S+)", re.MULTILINE)
IN_NO_LOCK = {"torch"}
"""See the Makefile."""


def canonical(name):
    """Return the name of a distribution as indexes compare names: "Typing_Extensions" is "typing-extensions"."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path):
    """Return {distribution: version} of a requirements file or a lock."""
    return {canonical(name): version for name, version in PINNED.findall(path.read_text())}


def imported_distributions(*folders):
    """Return {distribution: a file that imports it} of everything imported anywhere in the Python files of folders.

    Modules of this project and of Python are left out; a library that is not installed stands for itself.
    """
    own = {path.stem for path in (TESTS / "support").glob("*.py")} | {*PACKAGES, "tests", "benchmarks"}
    homes = packages_distributions()
    imports = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            for library in libraries(path.read_text()) - own - set(sys.stdlib_module_names):
                for distribution in homes.get(library, [library]):
                    imports.setdefault(canonical(distribution), str(path.relative_to(ROOT)))
    return imports


def libraries(source):
    """Return the top-level names of all absolute imports in a source, those inside functions included."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.partition(".")[0])
    return names


REQUIRED, FOR_TESTS = pins(ROOT / "requirements.txt"), pins(TESTS / "requirements.txt")


def test_every_library_that_the_packages_import_is_a_requirement():
    imports = imported_distributions(*(ROOT / package for package in PACKAGES))
    assert {name: path for name, path in imports.items() if name not in REQUIRED} == {}


def test_every_library_that_the_tests_import_is_a_requirement():
    imports = imported_distributions(TESTS)
    assert {name: path for name, path in imports.items() if name not in REQUIRED | FOR_TESTS} == {}


def test_every_requirement_is_imported():
    imports = imported_distributions(*(ROOT / package for package in PACKAGES))
    assert set(REQUIRED) - set(imports) - set(NOT_IMPORTED) == set()
    assert set(FOR_TESTS) - set(imported_distributions(TESTS)) - set(NOT_IMPORTED) == set()


@pytest.mark.parametrize("folder", [ROOT, TESTS], ids=["run", "tests"])
def test_a_lock_has_every_requirement_in_the_version_that_is_pinned(folder):
    """After a change of a requirements file, `make lock` writes its lock anew."""
    locked = pins(ROOT / "requirements.lock") | pins(folder / "requirements.lock")
    required = {name: pin for name, pin in pins(folder / "requirements.txt").items() if name not in IN_NO_LOCK}
    assert {name: locked.get(name) for name in required} == required


@pytest.mark.parametrize("folder", [ROOT, TESTS], ids=["run", "tests"])
def test_a_lock_has_a_hash_for_every_package_and_no_address_or_path(folder):
    text = (folder / "requirements.lock").read_text()
    packages = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in package for package in packages)
    assert not re.search(r"://|^--|^\s*-[fi] |(?<!-r )\b[\w.-]+/(?!requirements)", text, re.MULTILINE)


def test_every_import_is_seen_wherever_it_stands():
    source = "import a.b\nfrom c.d import e\ndef f():\n    import g, h as i\n    from j import k\n"
    assert libraries(source) == {"a", "c", "g", "h", "j"}
