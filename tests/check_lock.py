"""Part of `make check`: the locks are hashed, name no address, and satisfy pyproject.toml."""

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^ ;\\]+)", re.MULTILINE)


def pins_of(lock: Path) -> dict[str, list[str]]:
    """Versions by name; more than one where they differ between systems."""
    pins: dict[str, list[str]] = {}
    for name, version in PIN.findall(lock.read_text()):
        pins.setdefault(canonicalize_name(name), []).append(version)
    return pins


def faults(lock: Path, wanted: list[str]) -> list[str]:
    """What is wrong with one lock, a sentence each."""
    text, pins = lock.read_text(), pins_of(lock)
    found = [f"{lock.name} names an address" for _ in re.findall(r"https?://|--index-url|--find-links", text)[:1]]
    if text.count("--hash=sha256:") < sum(map(len, pins.values())):
        found.append(f"{lock.name} has pins without a hash")
    for requirement in map(Requirement, wanted):
        versions = pins.get(canonicalize_name(requirement.name), [])
        if not versions or not all(requirement.specifier.contains(v, prereleases=True) for v in versions):
            found.append(f"{lock.name} has {versions or 'no pin'} for {requirement}: run `make lock`")
    return found


def strays(lock: Path, product: Path) -> list[str]:
    """Where a lock that adds to the product's has other versions than it."""
    pins = pins_of(lock)
    return [
        f"{lock.name} has {pins.get(name)} for {name}, {product.name} {versions}: run `make lock`"
        for name, versions in pins_of(product).items()
        if pins.get(name) != versions
    ]


def main() -> int:
    """Exit code 1 and a line for each fault."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = dict(project["project"]["optional-dependencies"])
    ray = extras.pop("ray")
    product = [*project["project"]["dependencies"], *(one for extra in extras.values() for one in extra)]
    lock, for_development, with_ray = (ROOT / f"requirements{name}.lock" for name in ("", "-dev", "-ray"))
    found = faults(lock, product)
    found += faults(for_development, product + project["dependency-groups"]["dev"]) + strays(for_development, lock)
    found += faults(with_ray, product + ray) + strays(with_ray, lock)
    sys.stderr.writelines(f"{fault}\n" for fault in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
