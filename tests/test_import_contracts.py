"""Who may import what: the contracts hold for the house as it is, and fail for each way of breaking them.

Three nets, for each misses something. import-linter follows chains through our own files, but only forbids what it was
told of. Reading the imports of the pure files allows only what was named, functions' own imports included. And a
bare process shows that they run where nothing else is installed.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
FOLDERS = ("channels", "demo", "server", "service", "sources", "store", "warehouse")
PURE = sorted(file.stem for file in (HOUSE / "kpi_core").glob("*.py") if not file.stem.startswith("__"))
WITH_NUMPY = {"trends"}


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The house, copied, with every folder that it is going to have."""
    copy = tmp_path_factory.mktemp("house")
    for name in ("kpi_core", "pages"):
        shutil.copytree(HOUSE / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "static"))
    shutil.copy(HOUSE / "pyproject.toml", copy)
    for folder in FOLDERS:
        (copy / "kpi_core" / folder).mkdir(exist_ok=True)
        (copy / "kpi_core" / folder / "__init__.py").touch()
    for file in ("service/tracker.py", "server/wiring.py"):
        (copy / "kpi_core" / file).touch()
    return copy


def lint(house: Path, contract: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache"]
    only = ["--contract", contract] if contract else []
    return run(*command, "--no-logo", *only, cwd=house)


def run(*command: str, cwd: Path = HOUSE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def test_the_house_keeps_all_its_contracts(copied: Path) -> None:
    outcome = lint(copied)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


BREACHES = {
    "a pure file imports streamlit": ("pure", "kpi_core/formula.py", "import streamlit"),
    "a pure file imports sqlalchemy": ("pure", "kpi_core/status.py", "import sqlalchemy"),
    "a pure file imports sqlalchemy within a function": (
        "pure",
        "kpi_core/model.py",
        "def f():\n    import sqlalchemy",
    ),
    "a pure file imports the store": ("pure", "kpi_core/validate.py", "from kpi_core.store import schema"),
    "a folder of kpi_core imports streamlit": ("no-screens", "kpi_core/service/tracker.py", "import streamlit as st"),
    "the store imports the warehouse": ("layers", "kpi_core/store/schema.py", "import kpi_core.warehouse"),
    "the service imports the server": ("layers", "kpi_core/service/tracker.py", "import kpi_core.server.wiring"),
    "a source imports the store": ("layers", "kpi_core/sources/http.py", "import kpi_core.store.schema"),
    "a channel imports the store": ("layers", "kpi_core/channels/slack.py", "import kpi_core.store.schema"),
    "the demo company imports the store": ("layers", "kpi_core/demo/business.py", "import kpi_core.store.schema"),
    "the demo company imports duckdb": ("demo", "kpi_core/demo/business.py", "import duckdb"),
    "the service imports a channel": ("handed-in", "kpi_core/service/tracker.py", "import kpi_core.channels"),
    "the service imports the web": ("no-web", "kpi_core/service/tracker.py", "import fastapi"),
    "a page imports the store": ("pages", "pages/daily.py", "from kpi_core.store import open_store"),
    "a page imports sqlalchemy": ("pages", "pages/daily.py", "import sqlalchemy as sa"),
    "a page tests a permission itself": ("pages", "pages/daily.py", "from kpi_core.access import can"),
    "a page imports the wiring, past the session": ("pages", "pages/daily.py", "from kpi_core.server import wiring"),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_the_contract_fails_when(breach: str, copied: Path) -> None:
    contract, name, line = BREACHES[breach]
    file = copied / name
    before = file.read_text() if file.exists() else None
    file.write_text(f"{before or ''}\n{line}\n")
    try:
        outcome = lint(copied, contract)
    finally:
        file.unlink() if before is None else file.write_text(before)
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    assert "BROKEN" in outcome.stdout


def test_a_page_may_import_pure_files_and_the_tracker_and_the_session_may_import_the_wiring(copied: Path) -> None:
    allowed = {
        "pages/some_page.py": "from kpi_core.service.tracker import Tracker\nfrom kpi_core.periods import label\n",
        "pages/ui/session.py": "from kpi_core.server.wiring import house\n",
    }
    before = {name: (copied / name).read_text() if (copied / name).exists() else None for name in allowed}
    for name, text in allowed.items():
        (copied / name).write_text(text)
    try:
        outcome = lint(copied, "pages")
    finally:
        for name, text in before.items():
            (copied / name).unlink() if text is None else (copied / name).write_text(text)
    assert "Contracts:" in outcome.stdout
    assert "pages.some_page" not in outcome.stdout
    assert "pages.ui.session" not in outcome.stdout


def test_every_file_directly_in_kpi_core_is_held_to_be_pure() -> None:
    contracts = tomllib.loads((HOUSE / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    pure = next(contract for contract in contracts if contract["id"] == "pure")
    listed = {module.removeprefix("kpi_core.") for module in pure["source_modules"]}
    assert listed | WITH_NUMPY >= set(PURE), "a new file in kpi_core/ goes into the `pure` contract of pyproject.toml"


@pytest.mark.parametrize("name", PURE)
def test_a_pure_file_imports_only_the_standard_library_and_pure_files(name: str) -> None:
    allowed = set(sys.stdlib_module_names) | ({"numpy"} if name in WITH_NUMPY else set())
    allowed |= {f"kpi_core.{other}" for other in PURE}
    assert _imports(HOUSE / "kpi_core" / f"{name}.py") - allowed == set()


@pytest.mark.parametrize("name", PURE)
def test_a_pure_file_is_imported_in_a_bare_process(name: str) -> None:
    """Isolated and without site-packages: what is not the standard library or ours cannot be found at all."""
    if name in WITH_NUMPY:
        pytest.skip("it has numpy's leave")
    program = f"import sys; sys.path.insert(0, {str(HOUSE)!r}); import kpi_core.{name}; print(*sys.modules)"
    outcome = run(sys.executable, "-I", "-S", "-c", program)
    assert outcome.returncode == 0, outcome.stderr
    loaded = {module for module in outcome.stdout.split() if module.startswith("kpi_core.")}
    assert loaded <= {f"kpi_core.{other}" for other in PURE}


def _imports(file: Path) -> set[str]:
    """What a file imports, wherever in it: top-level names of strangers, `kpi_core.x` of ours."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "kpi_core":
            names |= {f"kpi_core.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return {name if name.startswith("kpi_core.") else name.split(".")[0] for name in names}
