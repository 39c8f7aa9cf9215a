"""Part of `make check`: the locks are hashed, name no address, and satisfy pyproject.toml."""

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^ ;\\]+)", re.MULTILINE)


def faults(lock: Path, wanted: list[str]) -> list[str]:
    """What is wrong with one lock, a sentence each."""
    text = lock.read_text()
    pins: dict[str, list[str]] = {}
    for name, version in PIN.findall(text):
        pins.setdefault(canonicalize_name(name), []).append(version)
    found = [f"{lock.name} names an address" for _ in re.findall(r"https?://|--index-url|--find-links", text)[:1]]
    if text.count("--hash=sha256:") < sum(map(len, pins.values())):
        found.append(f"{lock.name} has pins without a hash")
    for requirement in map(Requirement, wanted):
        versions = pins.get(canonicalize_name(requirement.name), [])
        if not versions or not all(requirement.specifier.contains(v, prereleases=True) for v in versions):
            found.append(f"{lock.name} has {versions or 'no pin'} for {requirement}: run `make lock`")
    return found


def main() -> int:
    """Exit code 1 and a line for each fault."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = [one for extra in project["project"]["optional-dependencies"].values() for one in extra]
    product = [*project["project"]["dependencies"], *extras]
    found = faults(ROOT / "requirements.lock", product)
    found += faults(ROOT / "requirements-dev.lock", product + project["dependency-groups"]["dev"])
    sys.stderr.writelines(f"{fault}\n" for fault in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
