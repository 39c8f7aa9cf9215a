"""Runs the benchmarks: `python -m tests.benchmarks [--quick] [--to FOLDER] [NAME …]`. Each module with a `main(quick)` is one."""

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path

from tests.benchmarks.results import recorded, title_of

HERE = Path(__file__).parent


def names() -> list[str]:
    """Every benchmark, by its file's name; one in a folder is called FOLDER.NAME."""
    found = (path for path in HERE.rglob("*.py") if "def main(quick: bool)" in path.read_text())
    return sorted(".".join(path.relative_to(HERE).with_suffix("").parts) for path in found)


def chosen(asked: list[str], known: list[str]) -> list[str]:
    """All, or those asked for; a folder's name stands for all in it. Raises ValueError for what nobody knows."""
    matched = {name: [one for one in known if one == name or one.startswith(f"{name}.")] for name in asked}
    if unknown := sorted(name for name, found in matched.items() if not found):
        raise ValueError(f"no benchmark is called {', '.join(unknown)}: there are {', '.join(known)}")
    return [one for found in matched.values() for one in found] if asked else known


def main() -> None:
    """Run those asked for, or all; each prints a Markdown table, and leaves it and its plots in a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names()))
    parser.add_argument("--quick", action="store_true", help="the short setting that continuous integration can afford")
    parser.add_argument("--to", type=Path, default=Path("bench-results"), help="where results are written")
    asked = parser.parse_args()
    try:
        wanted = chosen(asked.names, names())
    except ValueError as error:
        sys.exit(str(error))
    for name in wanted:
        began = time.monotonic()
        print(f"\n## {title_of(name)}\n", flush=True)
        with recorded(name, asked.to, setting="short setting" if asked.quick else "long setting"):
            import_module(f"tests.benchmarks.{name}").main(quick=asked.quick)
        print(f"\n({time.monotonic() - began:.0f} s; {asked.to / name}.md)", flush=True)


if __name__ == "__main__":
    main()
