"""Fuzz a target with atheris (``pip install atheris``), by coverage, until something is found or time is over.

    python tests/fuzz/run.py payload [--seconds 900] [--runs N] [--corpus FOLDER]

What is found lies in this folder's ``corpus/``, and is a test from then on. Kernels run as machine code, of which the
fuzzer sees nothing; that they stay within bounds is tested by tests/kernels/bounds.py.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
sys.path[:0] = [str(HERE), str(HERE.parent), str(SOURCE)]


def left_alone() -> Iterator[str]:
    """Modules that the fuzzer does not look into: those with kernels, whose code must be what their source says."""
    for path in (SOURCE / "bitsback").rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if parts[1] not in ("archive", "files", "models", "kinds") or "bitsback.kernels" in path.read_text():
            yield ".".join(parts).removesuffix(".__init__")


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=["bitsback"], exclude=list(left_alone())):
        import targets

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=targets.TARGETS)
    parser.add_argument("--seconds", type=int, default=900)
    parser.add_argument("--runs", type=int, default=-1, help="executions after which it ends, too")
    parser.add_argument("--corpus", help="a folder that is begun with, and added to")
    options = parser.parse_args()
    corpus = Path(options.corpus or tempfile.mkdtemp(prefix="bitsback-fuzz-"))
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in targets.SEEDS[options.target]():
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
        targets.TARGETS[options.target](seed)  # what is compiled and looked up once is not the fuzzer's time
    found = HERE / "corpus" / options.target
    found.mkdir(parents=True, exist_ok=True)
    ends = [f"-max_total_time={options.seconds}", f"-runs={options.runs}", "-timeout=60", "-rss_limit_mb=3000"]
    arguments = [*ends, "-max_len=24000", "-entropic_scale_per_exec_time=1", f"-artifact_prefix={found}/", str(corpus)]
    atheris.Setup([sys.argv[0], *arguments], targets.TARGETS[options.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
