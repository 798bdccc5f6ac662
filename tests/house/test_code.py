"""How the code reads: sizes, names, docstrings, examples that run, import contracts."""

import ast
import doctest
import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("streams", "detectors", "dashboards")
CORES = ("streams.engine", "streams.formats", "streams.kpis", "streams.merge", "streams.events", "streams.durations",
         "streams.errors", "streams.monitor", "detectors")  # fmt: skip
MAX_LINES, MAX_FUNCTION_LINES, MAX_ARGUMENTS = 400, 50, 6
REFUSED_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}


def sources(*folders: str) -> list[Path]:
    found = [
        path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")) if "generated" not in path.parts
    ]
    assert found, f"nothing to check in {folders}"
    return found


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_files_are_short() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sources(*PACKAGES, "tests", "benchmarks")
        if (lines := path.read_text(encoding="utf-8").count("\n")) > MAX_LINES
    }
    assert not long


def test_functions_are_short_and_take_few_arguments() -> None:
    found = []
    for path in sources(*PACKAGES):
        for node in functions(path):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {lines} lines")
            arguments = [a.arg for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in ("self", "cls")]
            is_command = any("command" in ast.unparse(decorator) for decorator in node.decorator_list)
            if len(arguments) > MAX_ARGUMENTS and not is_command:  # a command has an argument an option
                found.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name} takes {len(arguments)} arguments")
    assert not found


def test_files_are_named_for_the_thing_they_hold() -> None:
    assert not [path for path in sources(*PACKAGES, "tests") if path.stem in REFUSED_NAMES]


def test_every_module_opens_with_a_sentence() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sources(*PACKAGES)
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent


def test_public_names_have_docstrings() -> None:
    silent = []
    for path in sources(*PACKAGES):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        silent += [
            f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and not node.name.startswith("_")
            and not ast.get_docstring(node)
        ]
    assert not silent


def core_modules() -> list[str]:
    names = []
    for path in sources("streams", "detectors"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name.startswith(CORES):
            names.append(name)
    return names


@pytest.mark.parametrize("name", core_modules())
def test_the_examples_in_the_cores_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_the_import_contracts_hold() -> None:
    tool = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    assert tool, "import-linter is not installed; run through `make test`"
    run = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
