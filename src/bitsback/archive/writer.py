"""From members to an archive: batches are planned, coded on several threads, and written in order."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import starmap
from typing import BinaryIO, overload

from msgspec import structs

from bitsback.archive import front, plan
from bitsback.archive.choice import Candidate, Choice, Effort, choose, choose_by_block
from bitsback.archive.coding import CodedBlock, encode_block, pack_bytes, worth
from bitsback.archive.container import COPY, DRAFT, HERE, ContainerWriter, End, Header, Kind
from bitsback.archive.directory import Content, Directory, Row, Share, decode, name_bytes, read_head
from bitsback.archive.front import Front
from bitsback.archive.head import Bytes, DataHead, Piece, joined
from bitsback.archive.item import Item
from bitsback.archive.library import ADAPTIVE, ADAPTIVES, FILTERED, JPEG, Library, ModelCoder
from bitsback.archive.limits import SHARED
from bitsback.archive.member import Entry, Type
from bitsback.archive.packing import repeated
from bitsback.archive.plan import ChunkPlan, Facts, Group, Run
from bitsback.archive.report import CodedGroup, Kept, ModelUse, Report
from bitsback.archive.workers import WAITING, Workers
from bitsback.archive.workers import Kept as KeptBlocks
from bitsback.errors import BitsBackError, ChangedError, FormatError
from bitsback.files import Picture, Skipped
from bitsback.kinds import lots as kinds
from bitsback.kinds.base import Coder, Images, Shape
from bitsback.threads import ordered_map, thread_count

Progress = Callable[[int], None]
"""Called now and then with about the bytes of input that are newly done: half when read, half when written."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How an archive is written. All but ``threads``, ``workers`` and ``kept`` change its bytes."""

    effort: Effort = "normal"
    threads: int = 0
    verify: bool = False
    """Decode each block right after it is coded: for where the archive cannot be read again."""
    embed: bool = True
    """Whether models that others do not have go into the archive."""
    embed_all: bool = False
    """Whether models that are shipped do, too."""
    block: int = 0
    """Samples of a block; 0: as many as one core decodes in about a tenth of a second."""
    hashes: bool = False
    """Whether the SHA-256 of each file is stored."""
    pixels: bool = False
    """Whether pixels and metadata are all that has to come back of images that are deflated."""
    workers: Workers | None = None
    """Who codes blocks, if not this process."""
    kept: KeptBlocks | None = None
    """Where finished blocks are kept until all is done."""


@dataclass(slots=True)
class Continued:
    """Where an archive goes on that is appended to."""

    header: Header
    end: End
    members: int
    contents: int
    names: dict[str, int] = field(default_factory=dict)
    """Its members by name."""
    models: set[str] = field(default_factory=set)
    """Those that it embeds."""
    known: dict[bytes, int] = field(default_factory=dict)
    """Contents of which the SHA-256 is known, and that members name which count."""


@dataclass(slots=True)
class _Batch:
    """Items that share a directory; ``owners`` of its contents, and what each member names."""

    items: list[Item]
    owners: list[Item] = field(default_factory=list)
    names: list[int | None] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    facts: list[Facts] = field(default_factory=list)
    shares: list[tuple[Share | None, ...]] = field(default_factory=list)
    """For each content: of each of its arrays, which one it is the same as."""
    kept: list[Kept] = field(default_factory=list)

    def images(self, group: Group) -> list[Images]:
        """The images of a group, or block, in lots of one shape."""
        return kinds.by_shape(self._run(run) for run in group.runs)

    def _run(self, run: Run) -> Images:
        picture = self.owners[run.content].picture
        assert picture is not None
        return picture.parts[run.part - 1][run.start : run.start + run.length]


class _Blocks(Sequence[list[Images]]):
    """The images of blocks, put together when they are asked for, behind the first steps of a front."""

    def __init__(self, batch: _Batch, blocks: list[Group], before: Front) -> None:
        self._batch, self.blocks, self._before = batch, blocks, before

    def __len__(self) -> int:
        return len(self.blocks)

    @overload
    def __getitem__(self, number: int) -> list[Images]: ...
    @overload
    def __getitem__(self, number: slice) -> list[list[Images]]: ...
    def __getitem__(self, number: int | slice) -> list[Images] | list[list[Images]]:
        if isinstance(number, slice):
            return [self[place] for place in range(*number.indices(len(self)))]
        return front.apply(self._before, self._batch.images(self.blocks[number]))


class Writer:
    """Write members to ``stream``, which may be a pipe. Errors of the stream (a full disk) come through as OSError.

    The bytes depend on the items, the library and the settings, not on the number of threads.
    """

    def __init__(
        self,
        stream: BinaryIO,
        library: Library,
        settings: Settings,
        report: Report,
        progress: Progress | None = None,
        continued: Continued | None = None,
    ) -> None:
        self._stream = stream
        self._library, self._settings, self._report = library, settings, report
        self._progress = progress or (lambda done: None)
        self._threads = thread_count(settings.threads)
        self._next_member = continued.members if continued else 0
        self._next_content = self._first_content = continued.contents if continued else 0
        self._system = continued.header.system if continued else HERE
        self._before = continued.end.runs if continued else ()
        self._listing = b""
        self._names: set[str] = set()
        self._known: dict[bytes, int] = dict(continued.known) if continued else {}
        self._arrays: dict[bytes, Share] = {}
        self._linked: dict[str, int] = {}
        self._void: set[int] = set()
        self._digests = {content: digest for digest, content in self._known.items()}
        self._embedded = set(continued.models) if continued else set()
        self._needed: dict[str, int] = {}  # data chunks that use a model which this run embeds
        self._continued = continued
        self._container: ContainerWriter | None = None

    def write(self, items: Iterable[Item], listing: Iterable[Entry] | None = None) -> None:
        """Take all items, a batch at a time, and finish the archive. Members of the same names are superseded.

        ``listing`` is what is going to come, as far as it is known: it goes into the name of the run.
        """
        if listing is None:
            listing = [item.entry for item in items] if isinstance(items, Sequence) else ()
        self._listing = _hash_of(listing)
        batch: list[Item] = []
        room = plan.Room()
        for item in items:
            if reason := self._refusal(item):
                self._report.skipped.append(Skipped(item.entry.name, reason))
                continue
            if not room.takes(load := item.load):
                self._add(batch)
                batch, room = [], plan.Room()
                room.takes(load)
            batch.append(item)
            self._progress(item.entry.size // 2)
        if batch:
            self._add(batch)
        self._finish()

    def _refusal(self, item: Item) -> str:
        """What keeps an item out, in words; its name is taken otherwise."""
        entry = item.entry
        if entry.name in self._names:
            return "the name is there already"
        if not {"", ".", ".."}.isdisjoint(entry.name.split("/")):
            return "the name is no relative path"
        try:
            name_bytes(entry.name, self._system)
            name_bytes(entry.target, self._system)
        except BitsBackError as error:
            return str(error)
        if entry.type == Type.HARDLINK and self._linked.get(entry.target, _NOWHERE) in {_NOWHERE, *self._void}:
            return f"a hard link to {entry.target!r}, which is not stored"
        self._names.add(entry.name)
        if item.linked:
            self._linked[entry.name] = _COMING
        return ""

    def _finish(self) -> None:
        """The second copies of models, the index and the footer."""
        container = self._container or self._open(b"")
        for identity, chunks in self._needed.items():
            if chunks > 1:
                self._write_model(container, self._library.find(identity), COPY)
        there = self._continued.names if self._continued else {}
        removed = [there[kept.name] for kept in self._report.members if kept.name in there]
        self._report.bytes_out = container.finish(removed, durable=self._continued is not None)

    # A batch.

    def _add(self, items: list[Item]) -> None:
        batch = self._contents(items)
        groups = plan.group(batch.facts, self._apart(batch.facts))
        groups = [plan.arranged(group, batch.facts) for group in groups]
        choices = self._choose(batch, groups)
        coded = self._code(batch, groups, choices)
        coded = self._keep_smaller(batch, groups, coded)
        self._report.groups += starmap(_told, zip(groups, coded, choices, strict=True))
        blocks = [group for pairs in coded for group, _ in pairs]
        self._forget(batch, blocks)
        finished = [one for pairs in coded for _, one in pairs]
        chunks = plan.chunks(batch.facts, blocks)
        directory = self._directory(batch)
        head, payload = directory.encode(self._system)
        container = self._open(
            b"".join([head, payload, *batch.digests, *(item.start for item in batch.owners), *map(_coded, finished)])
        )
        self._write_models(container, chunks, finished)
        if self._settings.verify and decode(read_head(head), payload, self._system) != directory:
            raise FormatError("the directory does not read back as it was written")
        container.add(Kind.DIRECTORY, head, payload)
        self._write_data(container, batch, chunks, blocks, finished)
        if len(chunks) > 1:
            container.add(Kind.DIRECTORY, head, payload, COPY)
        self._digests |= dict(enumerate(batch.digests, self._next_content))
        for kept in batch.kept:
            kept.digest = self._digests[kept.content] if kept.content is not None else b""
        self._next_member += len(items)
        self._next_content += len(batch.owners)

    def _contents(self, items: list[Item]) -> _Batch:
        """The contents of the batch, each once, however many members name it."""
        batch = _Batch(items)
        for item in items:
            kept = Kept(item.entry, exact=item.exact)
            if item.picture:
                kept.note, kept.unexplained = item.picture.note, item.picture.unexplained
                kept.corrections = item.picture.corrections
            number = self._linked.get(item.entry.target) if item.entry.type == Type.HARDLINK else None
            if item.holds:
                number = self._known.get(item.sha256)
                if number is None:
                    number = self._next_content + len(batch.owners)
                    shares = self._shares(item, number)
                    batch.owners.append(item)
                    batch.digests.append(item.digest())
                    batch.shares.append(shares)
                    batch.facts.append(item.facts([share is not None for share in shares]))
                    if any(shares):
                        parts = batch.facts[-1].parts
                        kept.images = sum(part.images for part, share in zip(parts, shares, strict=True) if share)
                        kept.how = "shared"
                        kept.reason = "the same images as in another file"
                    if item.sha256:
                        self._known[item.sha256] = number
                else:
                    kept.how, kept.corrections, kept.unexplained = "again", 0, False
                    kept.exact |= number < self._first_content
                    item.picture = None
            kept.content = number
            batch.names.append(number)
            batch.kept.append(kept)
            if item.linked and number is not None:
                self._linked[item.entry.name] = number
        self._report.members += batch.kept
        return batch

    def _shares(self, item: Item, number: int) -> tuple[Share | None, ...]:
        """For each array of an item, which one that is there already it is the same as."""
        shares = []
        for part, hashed in enumerate(item.hashes, 1):
            mine = Share(number, part)
            known = self._arrays.setdefault(hashed, mine)
            shares.append(None if known == mine else known)
        return tuple(shares)

    def _forget(self, batch: _Batch, blocks: list[Group]) -> None:
        """Let later batches not share what was given up, nor what takes much more decoding: little of a large block."""
        dear: set[Share] = set()
        for block in blocks:
            for run in block.runs:
                if SHARED * batch.facts[run.content].parts[run.part - 1].samples < block.samples:
                    dear.add(Share(self._next_content + run.content, run.part))
        gone = {self._next_content + number for number, facts in enumerate(batch.facts) if not facts.parts}
        keep = ((key, share) for key, share in self._arrays.items() if share not in dear and share.content not in gone)
        self._arrays = dict(keep)

    def _apart(self, contents: Sequence[Facts]) -> set[plan.Look]:
        """What images have a model that takes only their size."""
        looks = {(part.shape, part.dtype, part.levels is not None) for facts in contents for part in facts.parts
                 if not part.coefficients}  # fmt: skip
        return {
            (shape, dtype, two)
            for shape, dtype, two in looks
            if any(_of_one_size(model, shape, two) for model in self._models(shape, two))
        }

    def _models(self, shape: Shape, two: bool) -> list[ModelCoder]:
        """Models to try on images; their fronts may leave 8 of 16 bits."""
        return self._library.candidates(shape, "uint8", 2 if two else None, self._settings.effort)

    def _choose(self, batch: _Batch, groups: list[Group]) -> list[Choice]:
        """Coders for each group. What needs importing or loading is imported and loaded here, not in a worker."""
        offered = [self._coders(group) for group in groups]
        broken: set[int] = set()
        for coder in {id(coder): coder for coders, _ in offered for coder in coders}.values():
            try:
                coder.prepare()
            except BitsBackError as error:
                self._report.warnings.append(f"{coder.name} was not used: {error}")
                broken.add(id(coder))

        began = time.perf_counter()
        tried: list[tuple[float, float]] = []  # seconds of each choice, and of these such as made what is kept

        def one(job: tuple[Group, tuple[list[Coder], str]], threads: int) -> Choice:
            begun = time.perf_counter()
            group, (coders, why) = job
            lots, key = batch.images(group), group.key
            before: Front = () if key.coefficients or why == _ASKED else front.enlarged(lots)
            lots = front.apply(before, lots)
            fronts = [()] if key.coefficients else front.candidates(lots, key.levels, key.few, key.decoded)
            sound = [coder for coder in coders if id(coder) not in broken]
            pairs = ((coder, step) for step in fronts for coder in sound if _sees(coder, step, key))
            offers = [Candidate(coder, step) for coder, step in pairs if _fits(coder, step, lots)]
            cut = partial(self._blocks, batch, group, before)
            if key.coefficients:
                choice = choose_by_block(lots, offers, cut, threads)
            else:
                choice = choose(lots, offers, cut, self._settings.effort, threads)
            choice.put_behind(before)
            choice.fallback = (*before, *fronts[0])
            choice.why, choice.without = (why, "") if why in (_ASKED, _COEFFICIENTS) else ("", why)
            tried.append((time.perf_counter() - begun, choice.used))
            return choice

        with closing(ordered_map(one, zip(groups, offered, strict=True), self._threads)) as work:
            choices = list(work)
        lost = 1 - sum(used for _, used in tried) / (sum(took for took, _ in tried) or 1)
        self._report.choosing += max(0.0, lost) * (time.perf_counter() - began)
        self._weigh_models(groups, choices)
        return choices

    def _blocks(self, batch: _Batch, group: Group, before: Front, candidate: Candidate) -> _Blocks:
        """A group cut into blocks as a candidate would have them that looks at images behind ``before``."""
        steps, pace = (*before, *candidate.front), candidate.coder.pace
        if steps and isinstance(steps[-1], front.Colours):
            pace *= group.key.channels  # of which one is coded
        samples = candidate.block or pace
        for step in steps:
            samples *= step.down * step.across if isinstance(step, front.Enlarged) else 1
        return _Blocks(batch, plan.split(group, self._settings.block or samples), before)

    def _coders(self, group: Group) -> tuple[list[Coder], str]:
        """What may be tried on such images; and, if there is no choice, why not."""
        library, key = self._library, group.key
        if key.coefficients:
            trained = library.candidates(group.shapes[0], key.dtype, None, self._settings.effort)
            fitting = [one for one in trained if one.tag == JPEG.tag]
            if fitting and library.forced:
                return [fitting[0]], _ASKED
            return [*fitting, JPEG], "" if fitting else _COEFFICIENTS
        shapes = list(dict.fromkeys(group.shapes))
        levels = 2 if key.levels else None
        found = self._models(shapes[0], levels is not None)
        models: list[Coder] = [model for model in found if kinds.accepts(model, shapes, "uint8", levels)]
        if models and library.forced:
            return [models[0]], _ASKED
        adaptive = ADAPTIVES[self._settings.effort]
        if models:
            return [*models, adaptive, FILTERED], ""
        if not library.forced:
            return [adaptive, FILTERED], "no model takes such images"
        names = " or ".join(model.name for model in library.given)
        size = " and ".join("x".join(map(str, shape)) for shape in shapes[:3])
        return [adaptive], f"the model {names} does not take images of {size} {key.dtype} samples"

    def _weigh_models(self, groups: list[Group], choices: list[Choice]) -> None:
        """Drop a model that would have to go into the archive and saves less than it takes."""
        if self._library.forced:
            return
        leading: dict[str, list[tuple[Group, Choice]]] = {}
        for group, choice in zip(groups, choices, strict=True):
            if choice.ranking and self._embeds(choice.ranking[0].coder):
                leading.setdefault(choice.ranking[0].coder.id, []).append((group, choice))
        for identity, uses in leading.items():
            saved = 0.0
            for _, choice in uses:
                others = [choice.excess(one) for one in choice.ranking if one.coder.id != identity]
                if others:
                    saved += (others[0] or 0.0) * choice.expected[choice.ranking[0].key]
            if identity not in self._embedded and saved < len(self._library.find(identity).data):
                for _, choice in uses:
                    choice.ranking = [one for one in choice.ranking if one.coder.id != identity]
                    choice.why = "the model saves less than it takes in the archive"

    def _embeds(self, coder: Coder) -> bool:
        return bool(coder.id) and (self._settings.embed_all or (self._settings.embed and self._library.is_own(coder)))

    def _code(self, batch: _Batch, groups: list[Group], choices: list[Choice]) -> list[list[tuple[Group, CodedBlock]]]:
        """The blocks of each group, coded."""
        jobs: list[tuple[int, Group, Front, list[Coder], bytes | None]] = []
        for number, (group, choice) in enumerate(zip(groups, choices, strict=True)):
            choice.ranking = choice.ranking or [Candidate(ADAPTIVE, choice.fallback)]
            blocks = self._blocks(batch, group, (), choice.ranking[0]).blocks
            for place, block in enumerate(blocks):
                best, known = choice.block(place, len(blocks))
                coders = [best.coder, *(one.coder for one in choice.ranking if one.front == best.front)]
                coders += [ADAPTIVE] if not set(ADAPTIVES.values()) & set(coders) else []
                jobs.append((number, block, best.front, list(dict.fromkeys(coders)), known))
            self._report.warnings += choice.warnings

        def one(job: tuple[int, Group, Front, list[Coder], bytes | None], threads: int) -> tuple[Group, CodedBlock]:
            _, block, before, coders, known = job
            ways = [(way, None if at else known) for at, way in enumerate(block.directions)]
            found = [(way, coded(way, before, coders, payload, threads)) for way, payload in ways]
            return min(found, key=lambda one: len(one[1].payload))

        def coded(block: Group, before: Front, coders: list[Coder], known: bytes | None, threads: int) -> CodedBlock:
            lots, workers, kept = batch.images(block), self._settings.workers, self._settings.kept

            def encode() -> CodedBlock:
                if workers and known is None:
                    return workers.encode(lots, before, coders, self._settings.verify)
                return encode_block(lots, before, coders, threads, known, self._settings.verify)

            return kept.encoded(lots, before, coders, encode) if kept and known is None else encode()

        at_a_time = WAITING if self._settings.workers else self._threads

        def share(job: tuple[int, Group, Front, list[Coder], bytes | None]) -> int:
            return worth(job[1].samples, at_a_time)

        out: list[list[tuple[Group, CodedBlock]]] = [[] for _ in groups]
        with closing(ordered_map(one, jobs, at_a_time, share)) as work:
            for (number, *_), (block, made) in zip(jobs, work, strict=True):
                out[number].append((block, made))
                self._report.warnings += made.warnings
        for number, choice in enumerate(choices):
            self._note(batch, out[number], choice)
        return out

    def _note(self, batch: _Batch, coded: list[tuple[Group, CodedBlock]], choice: Choice) -> None:
        """Say of each member how its images were kept."""
        by_owner = {id(item): kept for item, kept in zip(batch.items, batch.kept, strict=True)}
        for block, one in coded:
            for run in block.runs:
                kept = by_owner[id(batch.owners[run.content])]
                kept.images += 1 if block.key.coefficients else run.length
                if one.coder.name not in kept.how.split(", "):
                    kept.how = f"{kept.how}, {one.coder.name}" if kept.how else one.coder.name
                kept.reason = kept.reason or choice.reason

    def _keep_smaller(
        self, batch: _Batch, groups: list[Group], coded: list[list[tuple[Group, CodedBlock]]]
    ) -> list[list[tuple[Group, CodedBlock]]]:
        """Give up groups of images whose files, all together, are smaller as they are."""
        for number, group in enumerate(groups):
            mine = self._with_sharers(batch, {run.content for run in group.runs})
            size = sum(len(one.payload) + _BLOCK_COST for _, one in coded[number])
            whole = sum(batch.facts[content].own for content in mine) == len(group.runs)
            files = sum(batch.owners[content].entry.size for content in mine)
            if whole and size + self._others(batch, mine, files - size) >= files and self._give_up(batch, mine):
                coded[number] = []
        return coded

    def _others(self, batch: _Batch, contents: Sequence[int], room: int) -> int:
        """What all that is not images of contents takes, packed; or a number on the same side of ``room``."""
        size = sum(batch.facts[content].blob for content in contents)
        if not 0 < room <= size:
            return size
        return len(pack_bytes(b"".join(batch.owners[content].blob for content in contents))[1])

    def _with_sharers(self, batch: _Batch, contents: set[int]) -> list[int]:
        """Contents of the batch, and those that share arrays of theirs."""
        found: set[int] = set()
        while found < contents:
            found = contents
            contents = found | {
                number
                for number, shares in enumerate(batch.shares)
                if any(share is not None and share.content - self._next_content in found for share in shares)
            }
        return sorted(found)

    def _give_up(self, batch: _Batch, contents: list[int]) -> bool:
        """Keep contents as their files' bytes; False, and nothing done, if one of these cannot be had any more."""
        files = [batch.owners[content].own_bytes() for content in contents]
        if None in files:
            return False
        for content, data in zip(contents, files, strict=True):
            item = batch.owners[content]
            item.picture = Picture(raw=data)
            batch.facts[content], batch.digests[content] = item.facts(), item.digest()
            batch.shares[content] = ()
        numbers = {self._next_content + content for content in contents}
        for kept in batch.kept:
            if kept.content in numbers:
                kept.exact, kept.corrections = True, 0
                if kept.how != "again":
                    kept.images, kept.how = 0, ""
                    kept.reason = "the files themselves are smaller than their images are when coded"
        return True

    def _directory(self, batch: _Batch) -> Directory:
        named = zip(batch.items, batch.names, strict=True)
        rows = [Row(structs.replace(item.entry, size=0), number) for item, number in named]  # sizes are the contents'
        contents = [
            Content(
                item.entry.size,
                facts.blob,
                item.recipe,
                item.counts,
                not item.exact,
                digest if digest and item.exact and (self._settings.hashes or _ends_nowhere(facts)) else None,
                shares if any(shares) else (),
            )
            for item, facts, digest, shares in zip(batch.owners, batch.facts, batch.digests, batch.shares, strict=True)
        ]
        return Directory(self._next_member, self._next_content, rows, contents)

    # Writing.

    def _open(self, first: bytes) -> ContainerWriter:
        """The container. A run is called by what is going to come, what its first batch holds, and the runs before."""
        if self._container is None:
            before = b"".join(run.to_bytes(8, "little") for run in self._before)
            hashed = hashlib.sha256(before + self._listing + first).digest()
            header = self._continued.header if self._continued else Header(0, self._system)
            header = header._replace(id=int.from_bytes(hashed[:8], "little"), required=DRAFT)
            self._container = ContainerWriter(self._stream, header, self._continued.end if self._continued else None)
        return self._container

    def _write_models(self, container: ContainerWriter, chunks: list[ChunkPlan], coded: list[CodedBlock]) -> None:
        for chunk in chunks:
            for identity in dict.fromkeys(coded[number].coder.id for number in chunk.blocks):
                if not identity:
                    continue
                model = self._library.find(identity)
                uses = {use.id: use for use in self._report.models}
                if identity not in uses:
                    self._report.models.append(ModelUse(identity, model.name))
                if identity in self._needed:
                    self._needed[identity] += 1
                elif self._embeds(model) and identity not in self._embedded:
                    self._needed[identity] = 1
                    self._embedded.add(identity)
                    self._write_model(container, model)

    def _write_model(self, container: ContainerWriter, model: ModelCoder, flags: int = 0) -> None:
        container.add(Kind.MODEL, bytes.fromhex(model.id), model.data, flags)
        use = next(use for use in self._report.models if use.id == model.id)
        use.embedded += len(model.data)

    def _write_data(
        self,
        container: ContainerWriter,
        batch: _Batch,
        chunks: list[ChunkPlan],
        blocks: list[Group],
        coded: list[CodedBlock],
    ) -> None:
        streams: dict[int, Iterator[bytes]] = {}
        running: dict[int, hashlib._Hash] = {}

        def jobs() -> Iterator[tuple[ChunkPlan, bytes]]:
            for chunk in chunks:
                yield chunk, b"".join(self._bytes(batch, run, streams, running) for run in chunk.runs)

        with closing(ordered_map(_packed, jobs(), self._threads)) as work:
            for chunk, (section, packed) in zip(chunks, work, strict=True):
                for content in chunk.ends:
                    if content in running:
                        batch.digests[content] = running[content].digest()
                digest = hashlib.sha256(b"".join(batch.digests[content] for content in chunk.ends)).digest()
                number = partial(_numbered, self._next_content)
                head = DataHead(
                    [coded[number_].block for number_ in chunk.blocks],
                    joined(number(run) for block in chunk.blocks for run in blocks[block].runs),
                    section,
                    joined(number(run) for run in chunk.runs),
                    digest if chunk.ends else b"",
                    [end for end in (self._next_content + content for content in chunk.ends) if end in self._void],
                ).encode()
                payload = b"".join([packed, *(coded[number_].payload for number_ in chunk.blocks)])
                container.add(Kind.DATA, head, payload)
                self._account(batch, chunk, blocks, len(head) + len(payload), bool(section and section.packing))

    def _bytes(
        self, batch: _Batch, run: Run, streams: dict[int, Iterator[bytes]], running: dict[int, hashlib._Hash]
    ) -> bytes:
        """A run of a content's bytes. What a streamed file lacks, since it changed meanwhile, is filled with zeros."""
        item = batch.owners[run.content]
        if item.stream is None:
            return item.blob[run.start : run.start + run.length]
        if run.content not in streams:
            streams[run.content] = item.stream(plan.CHUNK_BYTES)
            running[run.content] = hashlib.sha256()
        try:
            data = next(streams[run.content], b"")
            if len(data) != run.length:
                raise ChangedError(f"{item.entry.name}: changed while it was being stored")
            if run.start + run.length == item.entry.size and next(streams[run.content], b""):
                raise ChangedError(f"{item.entry.name}: grew while it was being stored")
        except (OSError, BitsBackError) as error:
            self._make_void(batch, item, str(error).removeprefix(f"{item.entry.name}: "))
            streams[run.content] = iter(())
            data = bytes(run.length)
        running[run.content].update(data)
        return data

    def _make_void(self, batch: _Batch, item: Item, reason: str) -> None:
        """Let the members that name this item's content not count: they are skipped after all."""
        content = self._next_content + next(i for i, owner in enumerate(batch.owners) if owner is item)
        if content not in self._void:
            self._void.add(content)
            for row in [row for row, number in enumerate(batch.names) if number == content]:
                self._report.skipped.append(Skipped(batch.items[row].entry.name, reason))
                self._report.members.remove(batch.kept[row])

    def _account(self, batch: _Batch, chunk: ChunkPlan, blocks: list[Group], size: int, is_packed: bool) -> None:
        by_owner = {id(item): kept for item, kept in zip(batch.items, batch.kept, strict=True)}
        self._report.samples += sum(blocks[number].samples for number in chunk.blocks)
        if not chunk.blocks:
            self._report.other_bytes += size
        for run in chunk.runs:
            kept = by_owner[id(batch.owners[run.content])]
            if not kept.how:
                kept.how = "packed" if is_packed else "stored"
                kept.reason = kept.reason or "kept byte by byte"
        for content in chunk.ends:
            kept = by_owner[id(batch.owners[content])]
            self._progress(kept.size - kept.size // 2)


def _told(group: Group, coded: list[tuple[Group, CodedBlock]], choice: Choice) -> CodedGroup:
    """How a group was coded, and over what."""
    size = sum(len(one.payload) for _, one in coded)
    names = dict.fromkeys(Candidate(one.coder, one.block.front).name for _, one in coded)
    how = ", ".join(names) or "nothing, as the files themselves are smaller"
    return CodedGroup(group.count, group.samples, how, size, choice.others(size) if size else [], choice.why)


_ASKED, _COEFFICIENTS = "asked for", "coefficients of a JPEG file"
"""Why a model is used without a choice."""

_NOWHERE, _COMING = -1, -2
"""In the place of a content's number: there is none; it will have one when its batch is full."""

_BLOCK_COST = 24
"""About what a block adds to a head."""

_REPEATED = 0.02
"""Of bytes that do not pack by themselves: as much of them is there twice, and packing all together is tried."""


def _of_one_size(model: Coder, shape: Shape, two: bool) -> bool:
    """Whether a model that takes a shape takes no larger one."""
    return not model.accepts((shape[0] + 1, shape[1] + 1, shape[2]), "uint8", 2 if two else None)


def _fits(coder: Coder, before: Front, lots: Sequence[Images]) -> bool:
    """Whether a coder takes such images behind a front."""
    form = front.forms(before, front.Form(lots[0].shape[3], lots[0].itemsize))[-1]
    shapes = [(images.shape[1], images.shape[2], form.channels) for images in lots]
    return kinds.accepts(coder, shapes, form.dtype, form.levels)


def _sees(coder: Coder, before: Front, key: plan.Key) -> bool:
    """Of images that were YCbCr, models see red, green and blue, as they have learned them, and all others do not."""
    return key.decoded is None or bool(coder.id) != bool(before)


def _packed(job: tuple[ChunkPlan, bytes], threads: int) -> tuple[Bytes | None, bytes]:
    chunk, data = job
    return pack_bytes(data, chunk.packable or repeated(data) > _REPEATED)


def _hash_of(listing: Iterable[Entry]) -> bytes:
    digest = hashlib.sha256()
    for entry in listing:
        digest.update(repr(entry).encode("utf-8", "surrogatepass"))
    return digest.digest()


def _coded(one: CodedBlock) -> bytes:
    return one.block.check.to_bytes(8, "little") + len(one.payload).to_bytes(8, "little")


def _ends_nowhere(facts: Facts) -> bool:
    """Whether a content that holds something has nothing of its own, so that no digest of a chunk covers it."""
    return bool(facts.parts) and not facts.own and not facts.blob


def _numbered(first: int, run: Run) -> Piece:
    return Piece(first + run.content, run.part, run.start, run.length)


def write_archive(
    stream: BinaryIO,
    items: Iterable[Item],
    library: Library | None = None,
    settings: Settings | None = None,
    *,
    progress: Progress | None = None,
    skipped: list[Skipped] | None = None,
    listing: Iterable[Entry] | None = None,
) -> Report:
    """Write an archive of ``items`` to ``stream`` (which may be a pipe) and say what was done.

    ``skipped`` is the list that ``items`` adds to while it is being consumed; ``listing`` what is going to come, if
    ``items`` is no list: see :meth:`Writer.write`.
    """
    began = time.perf_counter()
    report = Report(skipped=[] if skipped is None else skipped)
    Writer(stream, library or Library(), settings or Settings(), report, progress).write(items, listing)
    report.warnings = list(dict.fromkeys(report.warnings))
    report.seconds = time.perf_counter() - began
    return report


__all__ = ["Continued", "Kept", "ModelUse", "Progress", "Report", "Settings", "Writer", "write_archive"]
