"""What this environment consists of, as an SBOM (CycloneDX 1.6, JSON): ``python packaging/tested.py > tested.json``.

Of each package the version, and the SHA-256 over what is installed of it: the lines of its RECORD, which have the hash
of every file, sorted.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from importlib.metadata import Distribution, distributions
from typing import Any


def component(package: Distribution) -> dict[str, Any]:
    """One package."""
    name, version = package.metadata["Name"], package.version
    record = sorted(line for line in (package.read_text("RECORD") or "").splitlines() if ",sha256=" in line)
    return {
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name.lower().replace('_', '-')}@{version}",
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256("\n".join(record).encode()).hexdigest()}],
    }


def bill() -> dict[str, Any]:
    """All of them, by name, and what runs them."""
    found = {package.metadata["Name"].lower(): component(package) for package in distributions()}
    about = [
        {"name": "python", "value": f"{platform.python_implementation()} {platform.python_version()}"},
        {"name": "platform", "value": platform.platform()},
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "bitsback"}, "properties": about},
        "components": [found[name] for name in sorted(found)],
    }


if __name__ == "__main__":
    json.dump(bill(), sys.stdout, indent=1)
    sys.stdout.write("\n")
