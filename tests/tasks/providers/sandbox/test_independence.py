"""The sandbox and the adapters are written apart, so that one mistake cannot hide in both."""

import ast
from collections.abc import Iterator
from pathlib import Path

import tasks

ROOT = Path(tasks.__file__).parent
SANDBOX = ROOT / "providers" / "sandbox"
OURS = ("tasks", "manifests", "flows")


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_the_sandbox_imports_nothing_of_the_project_but_itself():
    foreign = {
        f"{path.name}: {name}"
        for path in SANDBOX.rglob("*.py")
        for name in imported(path)
        if name.partition(".")[0] in OURS and not name.startswith("tasks.providers.sandbox.")
    }

    assert foreign == set()


def test_nothing_below_the_flows_imports_the_sandbox():
    users = {
        str(path)
        for path in ROOT.rglob("*.py")
        if SANDBOX not in path.parents and any(name.startswith("tasks.providers.sandbox") for name in imported(path))
    }

    assert users == set()
