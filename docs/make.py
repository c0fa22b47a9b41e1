"""Make the pages whose figures come from programs; or see whether they are what the programs give.

    python docs/make.py                     fill all pages from what was measured and kept
    python docs/make.py --run [PAGE ...]    run the scripts of lab pages first (all of them: some minutes)
    python docs/make.py --check [PAGE ...]  change nothing; tell what differs, and from what lab scripts give now

What was measured is kept in benchmarks/results, with a plot that is drawn anew if it shows something else, beside the
shipped models, and for the lab in docs/lab/expected. PAGE is the name of a page of the lab: ans, bits-back ...
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LAB = ROOT / "docs" / "lab"
sys.path += [str(ROOT / "benchmarks"), str(LAB)]

import drift  # noqa: E402

import figure  # noqa: E402
import tables  # noqa: E402
from bitsback.report.markdown import blocks, fill  # noqa: E402

SCRIPTS = {
    script.stem.replace("_", "-"): script
    for script in sorted(LAB.glob("*.py"))
    if "__main__" in script.read_text("utf-8")
}
"""The scripts of the lab's pages, by the names of these."""

WHOLE = {"bits-back", "lossless"}
"""Lab pages whose scripts are quick enough to be run whole at each check."""

HOURS = {"paper"}
"""Those that are made of what took hours, and of data that is not here: only their tiny runs are made anew."""


def parts() -> dict[Path, dict[str, str]]:
    """What was measured and kept, by the pages and marks that it belongs to."""
    found = {LAB / f"{name}.md": drift.read(name)["page"] for name in SCRIPTS}
    for page, blocks_of_page in tables.parts().items():
        found.setdefault(ROOT / page, {}).update(blocks_of_page)
    return found


def rest(page: Path, kept: dict[str, str]) -> list[str]:
    """Where a page differs from what is kept."""
    shown = blocks(page.read_text("utf-8"))
    name = page.relative_to(ROOT).as_posix()
    found = [f"{name}: nothing was kept of <!-- {mark} -->" for mark in sorted(shown.keys() - kept.keys())]
    for mark, text in kept.items():
        if mark not in shown:
            found.append(f"{name}: has no <!-- {mark} -->")
        else:
            found += [f"{name}, {mark}: {one}" for one in drift.differences(text, shown[mark], 0)]
    return found


def drawn() -> tuple[dict[str, Any], Path]:
    """The figures of the only drawing that is made of what is kept, and where it is."""
    return json.loads((tables.RESULTS / "front.json").read_text("utf-8")), tables.RESULTS / "front.svg"


def output(name: str, mode: str) -> dict[str, str]:
    """What the script of a lab page prints, by marks."""
    # One thread each, and no one else's settings: what a network learns depends on both
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", str(SCRIPTS[name]), f"--{mode}"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr}")
    return blocks(done.stdout)


def rerun(name: str) -> list[str]:
    """Where what the script of a lab page gives now differs from what is kept."""
    kept = drift.read(name)
    whole = name in WHOLE
    known = {mark: text for mark, text in kept["page" if whole else "quick"].items() if mark != drift.MACHINE}
    found = output(name, "print" if whole else "quick")
    if known.keys() != found.keys():
        return [f"{name}: the script gives {', '.join(found)}, where {', '.join(known)} was kept"]
    told = []
    for mark, text in known.items():
        told += [f"{name}, {mark}: {one}" for one in drift.differences(text, found[mark], kept["tolerance"])]
    return told


def remake(name: str) -> None:
    """Run the script of a lab page, whole and, if that takes long, quickly too; and keep what they give."""
    print(name, flush=True)
    if name not in HOURS:
        subprocess.run([sys.executable, str(SCRIPTS[name])], check=True)
    if name not in WHOLE:
        drift.keep(name, quick=output(name, "quick"))


def main() -> int:
    """As the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", nargs="*", choices=[[], *SCRIPTS], metavar="PAGE", help="a page of the lab")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--run", action="store_true", help="run the scripts of lab pages first")
    mode.add_argument("--check", action="store_true", help="change nothing, tell what differs")
    options = parser.parse_args()
    names = options.pages or list(SCRIPTS)
    if options.run:
        for name in names:
            remake(name)
    if options.check:
        told = [one for page, kept in parts().items() for one in rest(page, kept)]
        told += [] if figure.is_of(*drawn()) else ["front.svg: does not show what front.json says"]
        told += [one for name in names for one in rerun(name)]
        print("\n".join(told) or "the pages are what the programs give")
        return bool(told)
    for page, kept in parts().items():
        before = page.read_text("utf-8")
        after = fill(before, kept)
        if after != before:
            page.write_text(after, "utf-8")
            print(f"{page.relative_to(ROOT)}: written")
    if not figure.is_of(*drawn()):
        figure.draw(*drawn())
        print("front.svg: drawn")
    return 0


if __name__ == "__main__":
    sys.exit(main())
