"""Runs the benchmarks: `python -m tests.benchmarks [--quick] [NAME …]`. Each module with a `main(quick)` is one."""

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent


def names() -> list[str]:
    """Every benchmark, by its file's name."""
    return sorted(path.stem for path in HERE.glob("*.py") if "def main(quick: bool)" in path.read_text())


def main() -> None:
    """Run those asked for, or all; each prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names()))
    parser.add_argument("--quick", action="store_true", help="the short setting that continuous integration can afford")
    asked = parser.parse_args()
    unknown = sorted(set(asked.names) - set(names()))
    if unknown:
        sys.exit(f"no benchmark is called {', '.join(unknown)}: there are {', '.join(names())}")
    for name in asked.names or names():
        began = time.monotonic()
        print(f"\n## {name.replace('_', ' ')}\n", flush=True)
        import_module(f"tests.benchmarks.{name}").main(quick=asked.quick)
        print(f"\n({time.monotonic() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
