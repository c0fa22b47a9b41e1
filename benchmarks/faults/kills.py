"""Commands that are killed, disks that are full or broken: what is left of what there was.

    python benchmarks/faults/kills.py [--only WORD] [--how killed,full,...] [--points 60] [--moments 0] [--seed 1]

Each command runs in a process of its own, with a library in front of the system's (``shim.c``) that lets one call fail
that concerns the command's files, or kills the process there, a half of what was to be written being written. This is
done at every such call, or at ``--points`` of them, chosen at random. ``--moments`` kills it so often at random moments
instead. Afterwards must hold:

* whatever had a name before still has it, with what was in it, or is in an archive that is whole;
* an archive that has its name opens, and holds all that it held before, or all that it was to hold;
* a file that has its name is complete;
* unless the process was killed, nothing unfinished is left; the error names the file and says what the system said,
  and nothing is called damaged;
* the same command, once more, does all that it was asked for.

Linux, with a compiler of C.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from trials import collection, look, same_pixels, summary

import bitsback
from bitsback import api
from bitsback.archive.atomic import is_part
from bitsback.cli import main as command
from bitsback.errors import BitsBackError

HERE = Path(__file__).parent

NAMED = re.compile(r"bitsback: .*[\w.]+: ")
"""A message that names a file."""


class How(NamedTuple):
    """What happens: an error, or a signal as a negative number; at one call, or from then on; at reads too."""

    what: int
    lasts: bool = False
    reads: bool = False


HOWS = {
    "killed": How(-signal.SIGKILL),
    "interrupted": How(-signal.SIGINT),
    "terminated": How(-signal.SIGTERM),
    "full": How(errno.ENOSPC, lasts=True),
    "over quota": How(errno.EDQUOT),
    "broken": How(errno.EIO, lasts=True, reads=True),
    "broken once": How(errno.EIO, reads=True),
    "read-only": How(errno.EROFS, lasts=True),
}


class Done(NamedTuple):
    """How a command ended: its exit status, negative if by a signal; what it said; how many calls there were; which
    one failed last; and whether the disk lets nothing be removed."""

    code: int
    said: str
    calls: int
    failed: str = ""
    stuck: bool = False


class Case(NamedTuple):
    """A command, what it finds in its folder, and what has to hold afterwards."""

    prepare: Callable[[Path], None]
    arguments: list[str]
    check: Callable[[Path, Done], list[str]]
    again: list[str]
    complete: Callable[[Path], list[str]]


# The library in front of the system's ---------------------------------------------------------------------------------


def preloaded() -> ctypes.CDLL:
    """The library; the interpreter begins anew with it in front."""
    path = os.environ.get("BITSBACK_SHIM")
    if path is None:
        folder = tempfile.mkdtemp(prefix="bitsback-shim-")
        path = f"{folder}/shim.so"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", path, HERE / "shim.c", "-ldl"], check=True)
        os.environ |= {"BITSBACK_SHIM": path, "LD_PRELOAD": path, "BITSBACK_THREADS": "1"}
        os.execv(sys.executable, [sys.executable, *sys.argv])
    shutil.rmtree(Path(path).parent, ignore_errors=True)
    del os.environ["BITSBACK_SHIM"], os.environ["LD_PRELOAD"]
    shim = ctypes.CDLL(None)
    shim.shim_failed.restype = ctypes.c_char_p
    return shim


class Runner:
    """Runs commands in forks of this process, which has all loaded and compiled that they need."""

    def __init__(self, shim: ctypes.CDLL, folder: Path) -> None:
        self._shim, self._folder = shim, folder

    def run(self, at: Path, arguments: list[str], how: How | None = None, call: int = 0, moment: float = -1) -> Done:
        """Run a command in the folder ``at``, with something happening at a call, or a kill after some seconds."""
        told, counted = self._folder / "told", self._folder / "counted"
        pid = os.fork()
        if not pid:
            self._child(at, arguments, how, call, told, counted)
        if moment >= 0:
            time.sleep(moment)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        # a process that was killed may not have come to say it, or not have said all
        calls, _, failed = (counted.read_text() if counted.exists() else "").partition(" ")
        counted.unlink(missing_ok=True)
        stuck = failed.startswith(("unlink", "ftruncate")) or (
            how is not None and how.lasts and how.what in (errno.EIO, errno.EROFS)
        )
        said = told.read_text(errors="replace").strip() if told.exists() else ""
        return Done(os.waitstatus_to_exitcode(status), said, int(calls or 0), failed, stuck)

    def _child(self, at: Path, arguments: list[str], how: How | None, call: int, told: Path, counted: Path) -> None:
        code = 99
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.chdir(at)
            sys.stdout = sys.stderr = told.open("w")
            last = 1 << 30 if how and how.lasts else call
            reads = how.reads if how else False
            self._shim.shim_set(bytes(at), call, last, how.what if how else 0, reads)
            command(arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            calls, failed = self._shim.shim_calls(), self._shim.shim_failed().decode()
            self._shim.shim_set(b"", 0, 0, 0, 0)
            sys.stdout.flush()
            counted.write_text(f"{calls} {failed}")
            os._exit(code)


# What is looked at afterwards -----------------------------------------------------------------------------------------


def stored(path: Path) -> dict[str, bytes] | str:
    """What an archive holds, by name; or why it cannot be read."""
    try:
        with bitsback.open(path) as archive:
            return {member.name: b"".join(data) for member, data in archive.contents(threads=1)}  # type: ignore[arg-type]
    except (BitsBackError, OSError, TypeError) as error:
        return f"{path.name}: {type(error).__name__}: {error}"


def tidy(folder: Path, done: Done) -> list[str]:
    """What a command that was not killed must not leave or say."""
    faults = []
    if done.code == -signal.SIGKILL:
        return faults
    parts = [path.name for path in folder.rglob("*") if is_part(path.name)]
    if parts and not done.stuck:
        faults.append(f"left {parts}")
    if done.code not in (0, 1, 3, 130, 143, -signal.SIGTERM):
        faults.append(f"ended with {done.code}")
    bad = ("Traceback", "internal error", "damaged", "not an archive", "checksum")
    faults += [f"said {word!r}" for word in bad if word in done.said]
    if done.code == 1 and (".part" in done.said or not NAMED.search(done.said)):
        faults.append("did not name the file")
    return faults


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# The commands ---------------------------------------------------------------------------------------------------------

CASES: dict[str, Callable[[Path], Case]] = {}
"""By name: made from a folder that holds ``in``, ``more`` and ``newer``, and archives of ``in``."""

Make = Callable[[Path], Case]


def case(name: str) -> Callable[[Make], Make]:
    def note(make: Make) -> Make:
        CASES[name] = make
        return make

    return note


def copy(source: Path, target: Path) -> None:
    """A file or folder, with its times."""
    if source.is_dir():
        shutil.copytree(source, target, copy_function=shutil.copy2)
    else:
        shutil.copy2(source, target)


@case("compress --rm")
def _compress_rm(given: Path) -> Case:
    wanted = dict(stored(given / "in.bba"))  # type: ignore[arg-type]
    sources = _files(given / "in")

    def check(folder: Path, done: Done) -> list[str]:
        faults = tidy(folder, done)
        there = _files(folder / "in") if (folder / "in").exists() else {}
        faults += [f"{name} is another one" for name in there if there[name] != sources.get(name)]
        found = stored(folder / "in.bba") if (folder / "in.bba").exists() else {}
        if isinstance(found, str) or any(found[name] != wanted.get(name) for name in found):
            return [*faults, f"the archive is not whole: {str(found)[:200]}"]
        out = {f"in/{name}" for name in sources} - found.keys()
        if lost := sorted(out - {f"in/{name}" for name in there}):
            faults.append(f"lost {lost}")
        if (folder / "in.bba").exists() and out and done.code != 3:
            faults.append(f"said nothing of {out}")
        if done.code == 0 and (there or not (folder / "in.bba").exists()):
            faults.append("said that it was done")
        return faults

    def complete(folder: Path) -> list[str]:
        found = stored(folder / "in.bba")
        return [] if found == wanted else [f"not complete: {str(found)[:200]}"]

    return Case(lambda folder: copy(given / "in", folder / "in"), ["compress", "in", "--rm"], check, [], complete)


def _overwriting(arguments: list[str], given: Path, old: Path, new: dict[str, bytes] | str, out: str) -> Case:
    """A command that puts an archive in place of an old one."""
    before = stored(old)

    def prepare(folder: Path) -> None:
        for name in ("in", "in.bba", "broken.bba"):
            copy(given / name, folder / name)
        if not (folder / out).exists():
            copy(old, folder / out)

    def check(folder: Path, done: Done) -> list[str]:
        faults, found = tidy(folder, done), stored(folder / out)
        if done.code == 3 and isinstance(found, dict) and isinstance(new, dict) and found.items() <= new.items():
            return faults  # some of it could not be read, which was said
        if found not in ((new,) if done.code == 0 else (before, new)):
            faults.append(f"neither the old archive nor the new one: {str(found)[:200]}")
        return faults

    def complete(folder: Path) -> list[str]:
        found = stored(folder / out)
        return [] if found == new else [f"not complete: {str(found)[:200]}"]

    return Case(prepare, arguments, check, arguments, complete)


@case("compress --force")
def _compress_force(given: Path) -> Case:
    return _overwriting(
        ["compress", "in", "-o", "a.bba", "--force", "--parity", "10"],
        given, given / "more.bba", stored(given / "in.bba"), "a.bba",
    )  # fmt: skip


@case("remove")
def _remove(given: Path) -> Case:
    new = {name: data for name, data in dict(stored(given / "in.bba")).items() if name != "in/photo.png"}  # type: ignore[arg-type]
    return _overwriting(["remove", "in.bba", "in/photo.png"], given, given / "in.bba", new, "in.bba")


@case("merge")
def _merge(given: Path) -> Case:
    new = stored(given / "in.bba")
    return _overwriting(
        ["merge", "in.bba", "in.bba", "-o", "a.bba", "--force"], given, given / "more.bba", new, "a.bba"
    )


@case("recover -o")
def _recover(given: Path) -> Case:
    case = _overwriting(
        ["recover", "broken.bba", "-o", "a.bba", "--force"],
        given,
        given / "more.bba",
        stored(given / "in.bba"),
        "a.bba",
    )

    def check(folder: Path, done: Done) -> list[str]:
        # that it is damaged is what recover says, and what it ends with
        return case.check(folder, done._replace(said="", code=3 if done.code == 1 else done.code))

    return case._replace(check=check)


def _adding(given: Path, archive: str) -> Case:
    before = dict(stored(given / archive))  # type: ignore[arg-type]
    newer = dict(stored(given / "newer.bba"))  # type: ignore[arg-type]

    def prepare(folder: Path) -> None:
        copy(given / "newer", folder / "in")
        copy(given / archive, folder / "a.bba")

    def check(folder: Path, done: Done) -> list[str]:
        faults, found = tidy(folder, done), stored(folder / "a.bba")
        if done.code == 3 and isinstance(found, dict):  # some of it could not be read, which was said
            found = {name: data for name, data in found.items() if data != newer.get(name)} | newer
        if found not in ((before | newer,) if done.code in (0, 3) else (before, before | newer)):
            faults.append(f"neither the old archive nor the new one: {str(found)[:200]}")
        if done.code == 1 and not done.stuck and (folder / "a.bba").stat().st_size != (given / archive).stat().st_size:
            faults.append("the archive did not get its old size back")
        return faults

    def complete(folder: Path) -> list[str]:
        found = stored(folder / "a.bba")
        return [] if found == before | newer else [f"not complete: {str(found)[:200]}"]

    return Case(prepare, ["add", "a.bba", "in"], check, ["add", "a.bba", "in"], complete)


@case("add")
def _add(given: Path) -> Case:
    return _adding(given, "in.bba")


@case("add with parity")
def _add_parity(given: Path) -> Case:
    return _adding(given, "parity.bba")


@case("decompress")
def _decompress(given: Path) -> Case:
    truth = look(given / "out")

    def check(folder: Path, done: Done) -> list[str]:
        faults = tidy(folder, done)
        found = look(folder / "out") if (folder / "out").exists() else {}
        for path, thing in found.items():
            if is_part(os.fsdecode(path.rpartition(b"/")[2])) and (done.code == -signal.SIGKILL or done.stuck):
                continue
            if path not in truth or (thing.kind, thing.content) != (truth[path].kind, truth[path].content):
                faults.append(f"{path!r} is not what it should be")
        if done.code == 0 and found != truth:
            faults.append("said that it was done")
        return faults

    def complete(folder: Path) -> list[str]:
        found = look(folder / "out")
        return [] if found == truth else [f"not complete: {sorted(truth.keys() - found.keys())}"]

    def prepare(folder: Path) -> None:
        copy(given / "in.bba", folder / "in.bba")

    arguments = ["decompress", "in.bba", "-C", "out", "-p"]
    return Case(prepare, arguments, check, [*arguments, "--force"], complete)


@case("get -o")
def _get(given: Path) -> Case:
    wanted = dict(stored(given / "in.bba"))["in/photo.png"]  # type: ignore[arg-type]

    def check(folder: Path, done: Done) -> list[str]:
        faults, path = tidy(folder, done), folder / "p.png"
        if path.exists() and path.read_bytes() != wanted:
            faults.append("the file is not whole")
        return [*faults, *(["said that it was done"] if done.code == 0 and not path.exists() else [])]

    def complete(folder: Path) -> list[str]:
        return [] if (folder / "p.png").read_bytes() == wanted else ["not complete"]

    def prepare(folder: Path) -> None:
        copy(given / "in.bba", folder / "in.bba")

    arguments = ["get", "in.bba", "in/photo.png", "-o", "p.png"]
    return Case(prepare, arguments, check, [*arguments, "--force"], complete)


def given_in(folder: Path) -> Path:
    """What all cases begin with."""
    for name, seed in (("in", 0), ("more", 1), ("newer", 2)):
        collection(folder / name / "in" if name != "in" else folder / "in", seed)
    (folder / "newer" / "in" / "added.txt").write_text("added")
    at = Path.cwd()
    os.chdir(folder)
    api.compress("in", "in.bba")
    api.compress("in", "parity.bba", parity=0.1)
    for name in ("more", "newer"):
        os.chdir(folder / name)
        api.compress("in", f"../{name}.bba")
    os.chdir(folder)
    (folder / "newer" / "in").rename(folder / "inner")
    (folder / "newer").rmdir()
    (folder / "inner").rename(folder / "newer")
    command_of(["decompress", "in.bba", "-C", "out", "-p"])
    if not same_pixels(folder / "in", folder / "out/in"):
        raise SystemExit("decompress gives other pixels")
    damaged = bytearray((folder / "in.bba").read_bytes())
    damaged[2:9] = bytes(7)
    (folder / "broken.bba").write_bytes(damaged)
    os.chdir(at)
    return folder


def command_of(arguments: list[str]) -> None:
    with suppress(SystemExit):
        command(arguments)


# All of it ------------------------------------------------------------------------------------------------------------


def points(calls: int, most: int, chance: random.Random) -> list[int]:
    """The numbers of calls at which something happens."""
    return list(range(1, calls + 1)) if calls <= most else sorted(chance.sample(range(1, calls + 1), most))


class Trial:
    """One command, again and again, each time from the same beginning."""

    def __init__(self, runner: Runner, place: Path, given: Path, name: str) -> None:
        self.runner, self.place, self.name = runner, place, name
        self.case = CASES[name](given)
        self.faults: list[str] = []
        self.count = 0

    def folder(self) -> Path:
        """A fresh one."""
        folder = self.place / "at"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.case.prepare(folder)
        return folder

    def calls(self, how: How) -> int:
        """How many calls there are if nothing happens."""
        done = self.runner.run(self.folder(), self.case.arguments, how, 1 << 30)
        if done.code not in (0, 1) or self.case.complete(self.place / "at"):
            self.faults.append(f"{self.name}: without a fault: {done}")
        return done.calls

    def seconds(self) -> float:
        """How long it takes, at most, of five times."""
        took = []
        for _ in range(5):
            folder, began = self.folder(), time.perf_counter()
            self.runner.run(folder, self.case.arguments)
            took.append(time.perf_counter() - began)
        return max(took)

    def once(self, words: str, how: How | None = None, call: int = 0, moment: float = -1) -> None:
        """Something happens; look at what is left; and once more without."""
        folder = self.folder()
        done = self.runner.run(folder, self.case.arguments, how, call, moment)
        faults = self.case.check(folder, done)
        left = [path for path in folder.rglob("*") if is_part(path.name)]
        for path in (
            left if self.name == "decompress" else ()
        ):  # for elsewhere it must be that nobody takes them for files
            path.unlink()
        if self.case.again or not (folder / "in.bba").exists():
            last = self.runner.run(folder, self.case.again or self.case.arguments)
            faults += [f"and again: {word} ({last.code} {last.said[-200:]})" for word in self.case.complete(folder)]
        for word in faults:
            more = f"{done.code}, left {[path.name for path in left]}, {done.said[-300:]}"
            self.faults.append(f"{self.name}, {words}: {word}\n    {more}")
        self.count += 1


def trials(options: argparse.Namespace, runner: Runner, place: Path, given: Path) -> Iterator[Trial]:
    """All commands, in all ways."""
    chance = random.Random(options.seed)
    for name in CASES:
        if options.only not in name:
            continue
        trial = Trial(runner, place, given, name)
        for word in options.how.split(","):
            if options.moments:
                break
            how = HOWS[word]
            calls = trial.calls(how)
            chosen = points(calls, options.points, chance)
            for call in chosen:
                trial.once(f"{word} at call {call} of {calls}", how, call)
            print(f"{name}: {word} at {len(chosen)} of {calls} calls: {len(trial.faults)} faults so far", flush=True)
        if options.moments:
            most = trial.seconds()
            for _ in range(options.moments):
                moment = chance.uniform(0, most)
                trial.once(f"killed after {1000 * moment:.1f} ms", moment=moment)
            print(f"{name}: killed at {options.moments} moments of {1000 * most:.0f} ms: {len(trial.faults)} faults")
        yield trial


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="commands whose name holds this")
    parser.add_argument("--how", default=",".join(HOWS), help="what happens")
    parser.add_argument("--points", type=int, default=60, help="calls at which it happens, at most")
    parser.add_argument("--moments", type=int, default=0, help="kills at random moments, instead")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    shim = preloaded()
    with tempfile.TemporaryDirectory(prefix="bitsback-kills-") as name:
        place = Path(name)
        (place / "given").mkdir()
        given = given_in(place / "given")
        os.chdir(place)
        faults: list[str] = []
        count = 0
        for trial in trials(options, Runner(shim, place), place, given):
            faults += trial.faults
            count += trial.count
    print(f"{count} runs")
    summary(faults)


if __name__ == "__main__":
    main()
