"""The layers of the code: imports point down, there are no import cycles, and no folder is too large.

Imports inside functions count too. `python tests/test_floors.py` prints the figures.
"""

import ast
from collections import Counter, defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {"label_data": set(), "reward": {"label_data"}, "workbench": {"label_data", "reward"}}
HOMES = {
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
"""Library -> the packages that may import it."""
SIZES = range(2, 15)
"""How many modules a folder may have."""
ONE_FILE_EACH = {
    "label_data.formats",
    "label_data.formats.datasets",
    "label_data.formats.trainers",
    "label_data.database.migrations.versions",
    "workbench.app_pages",
}
"""Folders with one file per format, migration or page may be larger."""
FIXED_BY_ALEMBIC = "label_data.database.migrations"
"""Alembic's layout: env.py, and a folder of versions."""
ENTRANCES = {"label_data.__main__", "reward.__main__", "workbench.__main__", "workbench.app"}
"""Entry points. They stand above all folders, whichever folder they are in."""


def name_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for floor in ALLOWED for path in sorted((ROOT / floor).rglob("*.py"))}


def imported(source):
    """Return the dotted names that a source imports anywhere: of modules, or of names in modules."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "write imports in full"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def modules_imported(module):
    """Return the modules of the three packages that a module imports."""
    names = imported(MODULES[module].read_text())
    modules = {name if name in MODULES else name.rpartition(".")[0] for name in names}
    return modules & MODULES.keys() - {module}


def folder_of(module):
    """Return the folder of a module; a package's __init__.py belongs to its own folder."""
    return module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]


def in_circles(arrows):
    """Return the nodes that are in a circle or import one: removing leaves again and again removes all others."""
    left = {name: set(targets) for name, targets in arrows.items()}
    while free := {name for name, targets in left.items() if not targets & left.keys()}:
        left = {name: targets for name, targets in left.items() if name not in free}
    return left


def arrows_of_modules():
    return {module: modules_imported(module) for module in MODULES}


def arrows_of_folders():
    arrows = defaultdict(set)
    for module, targets in arrows_of_modules().items():
        if module not in ENTRANCES:
            arrows[folder_of(module)] |= {folder_of(target) for target in targets} - {folder_of(module)}
    return arrows


def modules_by_folder():
    """Return {folder: number of modules}, without __init__.py files and entry points."""
    return Counter(
        folder_of(module) for module, path in MODULES.items() if path.name != "__init__.py" and module not in ENTRANCES
    )


def test_every_way_to_import_is_seen():
    source = "import a.b\nfrom c.d import e\ndef g():\n    import h, i as j\n"
    assert imported(source) == {"a.b", "c.d.e", "h", "i"}


def test_a_circle_is_found_and_its_absence_too():
    assert in_circles({"a": {"b"}, "b": {"c"}, "c": set()}) == {}
    assert in_circles({"a": {"b"}, "b": {"a"}, "c": set()}).keys() == {"a", "b"}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_its_own_package_and_those_below(module):
    floor = module.partition(".")[0]
    packages = {name.partition(".")[0] for name in imported(MODULES[module].read_text())}
    assert packages & ALLOWED.keys() <= ALLOWED[floor] | {floor}
    assert not packages & {library for library, homes in HOMES.items() if floor not in homes}


def test_no_modules_import_each_other_in_a_circle():
    assert in_circles(arrows_of_modules()) == {}


def test_no_folders_import_each_other_in_a_circle():
    assert in_circles(arrows_of_folders()) == {}


def test_every_folder_has_2_to_14_modules():
    sizes = modules_by_folder()
    sizes.pop(FIXED_BY_ALEMBIC)
    wrong = {folder: size for folder, size in sizes.items() if size not in SIZES and folder not in ONE_FILE_EACH}
    assert wrong == {}


if __name__ == "__main__":
    sizes = modules_by_folder()
    print(f"{len(MODULES)} modules in {len(sizes)} folders")
    for folder, size in sorted(sizes.items()):
        print(f"{size:>4} {folder}")
    print(f"modules in a circle: {len(in_circles(arrows_of_modules()))}")
    print(f"folders in a circle: {len(in_circles(arrows_of_folders()))}")
