"""Imports point one way: theorems and impl know nothing of each other, properties know both, reports know properties and theorems."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "theorems": {"theorems"},
    "impl": {"impl"},
    "properties": {"properties", "theorems", "impl"},
    "reports": {"reports", "properties", "theorems"},
}
PARTS = {*MAY_IMPORT, "tests"}


def imports(file: Path) -> list[tuple[int, str]]:
    """(line, module) of every import statement in the file, wherever it stands."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found.append((node.lineno, node.module or ""))
        elif isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
    return found


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_imports_point_one_way(folder: str) -> None:
    for file in sorted((ROOT / folder).rglob("*.py")):
        for line, module in imports(file):
            part = module.partition(".")[0]
            assert part not in PARTS - MAY_IMPORT[folder], f"{file.relative_to(ROOT)}:{line} imports {module}: {folder} may import {sorted(MAY_IMPORT[folder])}"


def test_no_two_modules_import_each_other() -> None:
    modules = {str(file.relative_to(ROOT).with_suffix("")).replace("/", "."): file for folder in MAY_IMPORT for file in (ROOT / folder).rglob("*.py")}
    names = {name.removesuffix(".__init__"): name for name in modules}
    arrows = {name: {names[module] for _, module in imports(file) if module in names} for name, file in modules.items()}
    for name, targets in arrows.items():
        for target in targets - {name}:  # `from theorems import claim` names the package itself
            assert name not in arrows[target], f"{name} and {target} import each other"


@pytest.mark.parametrize("module", ["impl", "theorems", "properties.plugin"])
def test_the_harness_imports_where_triton_is_missing(module: str) -> None:
    """In a fresh process in which `import triton` fails (torch's own optional uses of it included)."""
    code = f"import sys; sys.modules['triton'] = None; import {module}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
