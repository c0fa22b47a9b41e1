"""The second decoder on all golden archives: what it decodes, and in how many seconds.

    python benchmarks/faults/second_decoder.py [NAME ...]

It is plain Python: some archives take minutes.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from trials import summary

ROOT = Path(__file__).parents[2]
GOLDEN, ZOO = ROOT / "tests" / "golden", ROOT / "src" / "bitsback" / "models" / "zoo"
TYPES = ("file", "folder", "symlink", "hardlink")


def main() -> None:
    sys.path.append(str(ROOT / "decoder"))
    from bitsback_decoder.archive import digest_of, read

    manifest = json.loads((GOLDEN / "manifest.json").read_text())
    models = [path.read_bytes() for path in sorted(ZOO.glob("*.bbm"))]
    faults = []
    for name in sys.argv[1:] or manifest:
        began, found = time.process_time(), {}
        try:
            _, members = read((GOLDEN / name).read_bytes(), models=models)
        except Exception as error:
            faults.append(f"{name}: {type(error).__name__}: {error}")
            continue
        for member, one in members.items():
            what = f"{TYPES[one.type]} {one.target.decode()}".strip()
            digest = "" if one.content is None else digest_of(one.content, one.blob, one.arrays, one.file).hex()
            found[member.decode()] = f"{what} {digest}".strip()
        faults += [f"{name}: {member}" for member, said in manifest[name].items() if found.get(member) != said]
        print(f"{name}: {len(found)} members, {time.process_time() - began:.1f} s", flush=True)
    summary(faults)


if __name__ == "__main__":
    main()
