"""What was stored and how: in words, and as JSON. For the commands that store."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bitsback.archive.member import Type
from bitsback.cli.output import count_words, say, size_words

if TYPE_CHECKING:
    from bitsback.archive import Report
    from bitsback.archive.report import CodedGroup, Kept

TYPE_WORDS = {Type.FILE: "file", Type.FOLDER: "folder", Type.SYMLINK: "symbolic link", Type.HARDLINK: "hard link"}

AGAIN = "again"
"""How a content is kept that was there already."""

NOTES = 20
"""Of so many files it is told one by one why they are kept as they are; without -v, of the others only how many."""


def tell(report: "Report", verbose: int) -> None:
    """The report on stderr; its last lines are the summary, and what exactness costs."""
    noted = [kept for kept in report.members if kept.note and not kept.unexplained]
    for kept in report.members if verbose else ():
        say(f"{kept.name}: {_how(kept)}")
    for kept in () if verbose else noted[:NOTES]:
        say(f"{kept.name}: kept as it is: {kept.note}")
    if not verbose and len(noted) > NOTES:
        say(f"kept as they are: {count_words(len(noted) - NOTES, 'more file')} (-v tells which, and why)")
    for group in report.groups if verbose else ():
        say(_coded(group))
    for warning in report.warnings:
        say(f"warning: {warning}")
    for one in report.skipped:
        say(f"skipped {one.name}: {one.reason}")
    say(", ".join(_summary(report)))
    if words := _price(report):
        say(words)


def _price(report: "Report") -> str:
    """What it takes that files come back byte for byte, if anything."""
    words = []
    if report.corrected:
        size = size_words(sum(kept.corrections for kept in report.corrected))
        words.append(f"takes {size} for {_named(report.corrected)}")
    if report.unexplained:
        size = size_words(sum(kept.size for kept in report.unexplained))
        words.append(f"leaves {_named(report.unexplained)} as they are ({size})")
    return f"byte for byte {' and '.join(words)}: --pixels would not" if words else ""


def _named(members: "list[Kept]") -> str:
    names = ", ".join([kept.name for kept in members[:3]] + ["..."] * (len(members) > 3))
    return f"{count_words(len(members), 'file')} ({names})"


def _how(kept: "Kept") -> str:
    """How one member is kept, and why."""
    if kept.entry.type != Type.FILE:
        return TYPE_WORDS[kept.entry.type] + (f" to {kept.entry.target}" if kept.entry.target else "")
    if kept.how == AGAIN:
        return "the same as another file, and kept once"
    why = [kept.reason, kept.note, "" if kept.exact else "same pixels and metadata, other file bytes"]
    why += [f"{size_words(kept.corrections)} of corrections"] if kept.corrections else []
    words = "; ".join(word for word in why if word)
    return f"{kept.how or 'empty'} ({words})" if words else kept.how or "empty"


def _coded(group: "CodedGroup") -> str:
    """What codes a group of images, and what else would take how much."""
    words = (
        f"{count_words(group.images, 'image')} of {group.samples:,} samples in all: {group.how}, {group.size:,} bytes"
    )
    others = [f"{name} {size:,}" for name, size in group.others]
    return f"{words}; {group.why or ', '.join(others)}" if group.why or others else words


def _summary(report: "Report") -> list[str]:
    parts = [_counts(report), f"{size_words(report.bytes_in)} -> {size_words(report.bytes_out)}"]
    parts += [
        f"with the model {model.name} ({size_words(model.embedded)}) inside"
        for model in report.models
        if model.embedded
    ]
    parts += [f"ratio {report.ratio:.2f}"] if report.bytes_in else []
    parts += [f"{report.bits_per_dim:.3f} bits/dim"] if report.bits_per_dim is not None else []
    choosing = f" ({100 * report.choosing / report.seconds:.0f} % of it to choose)" if report.seconds >= 1 else ""
    return [*parts, f"{report.seconds:.1f} s{choosing}"]


def _counts(report: "Report") -> str:
    """``5 images, 2 duplicates and 1 other file``; folders only if there is nothing else."""
    types = [kept.entry.type for kept in report.members]
    files = [kept for kept in report.members if kept.entry.type == Type.FILE]
    again = sum(kept.how == AGAIN for kept in files)
    others = sum(not kept.images for kept in files) - again
    counts = [
        (report.images, "image"),
        (again, "duplicate"),
        (others, "other file" if report.images else "file"),
        (types.count(Type.SYMLINK) + types.count(Type.HARDLINK), "link"),
    ]
    words = [count_words(count, what) for count, what in counts if count]
    words = words or [count_words(types.count(Type.FOLDER), "folder")]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def tell_models(report: "Report", embed: bool | None) -> None:
    """What whoever decompresses should know about models."""
    if embed and not report.models:
        say("no model was used, so none is in the archive")
    outside = [model for model in report.models if not model.embedded]
    if not outside:
        return
    from bitsback import Model
    from bitsback.errors import ModelNotFoundError

    for model in outside:
        try:
            Model.find(model.id)
        except ModelNotFoundError:
            say(f"the archive needs the model {model.name}, which is not installed: keep its file")


def facts(report: "Report") -> dict[str, Any]:
    """The report, fit for JSON."""
    return {
        "images": report.images,
        "files": len(report.members),
        "bytes_in": report.bytes_in,
        "bytes_out": report.bytes_out,
        "ratio": report.ratio,
        "bits_per_dim": report.bits_per_dim,
        "seconds": round(report.seconds, 3),
        "choosing": round(report.choosing, 3),
        "groups": [asdict(group) for group in report.groups],
        "members": [_member(kept) for kept in report.members],
        "skipped": [asdict(one) for one in report.skipped],
        "warnings": report.warnings,
        "models": [asdict(model) for model in report.models],
    }


def _member(kept: "Kept") -> dict[str, Any]:
    entry = kept.entry
    return {
        "name": entry.name,
        "type": TYPE_WORDS[entry.type],
        "size": entry.size,
        "target": entry.target or None,
        "images": kept.images,
        "how": kept.how,
        "reason": kept.reason,
        "note": kept.note,
        "exact": kept.exact,
        "corrections": kept.corrections,
        "unexplained": kept.unexplained,
        "sha256": kept.digest.hex() if kept.digest and kept.exact else None,
    }
