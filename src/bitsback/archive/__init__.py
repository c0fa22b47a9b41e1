"""The container: files and their images in, one checked `.bba` file out, and back."""

from bitsback.archive.extract import Outcome as Outcome
from bitsback.archive.extract import extract as extract
from bitsback.archive.limits import Limits as Limits
from bitsback.archive.reader import Archive as Archive
from bitsback.archive.reader import Member as Member
from bitsback.archive.routes import Library as Library
from bitsback.archive.writer import Report as Report
from bitsback.archive.writer import write_archive as write_archive
