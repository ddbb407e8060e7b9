"""Imports point down: label_data knows no model and no browser, reward knows no app."""

import ast

import pytest

from tests.support.paths import ROOT

ALLOWED = {"label_data": set(), "reward": {"label_data"}, "workbench": {"label_data", "reward"}}
AT_HOME = {
    "streamlit": {"workbench"},
    "huey": {"workbench"},
    "openai": {"reward"},
    "sqlalchemy": {"label_data"},
    "alembic": {"label_data"},
    "torch": {"reward"},
    "transformers": {"reward"},
    "sklearn": {"reward"},
    "datasets": {"label_data"},
    "trl": set(),
}


def imported(source):
    """Return the top-level names that the source imports anywhere, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_every_way_to_import_is_seen():
    source = "import a.b\nfrom c.d import e\nfrom . import f\ndef g():\n    import h, i as j\n"
    assert imported(source) == {"a", "c", "h", "i"}


@pytest.mark.parametrize("floor", ALLOWED)
def test_a_floor_imports_only_what_lies_below_it(floor):
    files = sorted((ROOT / floor).rglob("*.py"))
    assert files
    for path in files:
        assert imported(path.read_text()) & ALLOWED.keys() <= ALLOWED[floor] | {floor}, path


@pytest.mark.parametrize("floor", ALLOWED)
def test_libraries_stay_on_their_floor(floor):
    elsewhere = {library for library, home in AT_HOME.items() if floor not in home}
    for path in sorted((ROOT / floor).rglob("*.py")):
        assert not imported(path.read_text()) & elsewhere, path


def test_no_two_modules_of_a_package_import_each_other():
    """A circle has no module that imports only modules outside it: taking those away must leave nothing."""
    modules = {}
    for floor in ALLOWED:
        for path in sorted((ROOT / floor).rglob("*.py")):
            modules[".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")] = path
    left = {}
    for module, path in modules.items():
        found = set()
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom):
                found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
        left[module] = found & modules.keys() - {module}
    while free := {module for module, needs in left.items() if not needs & left.keys()}:
        left = {module: needs for module, needs in left.items() if module not in free}
    assert not left
