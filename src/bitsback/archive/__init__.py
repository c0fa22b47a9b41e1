"""The container: members in, one checked `.bba` file out, and back."""

from bitsback.archive.edit import Rebuilt as Rebuilt
from bitsback.archive.extract import Outcome as Outcome
from bitsback.archive.extract import extract as extract
from bitsback.archive.library import Library as Library
from bitsback.archive.limits import Limits as Limits
from bitsback.archive.member import Entry as Entry
from bitsback.archive.member import Type as Type
from bitsback.archive.reader import Archive as Archive
from bitsback.archive.reader import taken as taken
from bitsback.archive.report import Report as Report
from bitsback.archive.structure import Member as Member
from bitsback.archive.verify import verify as verify
from bitsback.archive.writer import Settings as Settings
from bitsback.archive.writer import write_archive as write_archive
