"""Every error that bitsback raises on purpose.

All of them but :class:`KernelError` derive from :class:`BitsBackError`, itself a :class:`ValueError`; the message is
one line fit for a user's eyes and names the file or the quantity at fault. The command line prints it and exits; a
library user catches the class that matters.
"""


class BitsBackError(ValueError):
    """Something was wrong with the input, the archive, the model or the environment."""


class EmptyStackError(BitsBackError):
    """A pop needed more bits than the stack holds. Bits are never invented."""


class CodecError(BitsBackError):
    """A symbol or a parameter lies outside of what a codec can code."""


class FormatError(BitsBackError):
    """The bytes are not a well-formed archive, chunk or model file."""


class TruncatedError(FormatError):
    """The bytes end before the structure that they announce."""


class ChecksumError(FormatError):
    """A checksum disagrees: the bytes were damaged, or the decoded pixels are not the ones that were stored."""


class UnsupportedVersionError(FormatError):
    """The file was written by a newer version, or needs a feature that this one does not know."""


class LimitError(BitsBackError):
    """A declared size is beyond the limits that guard memory."""


class ModelError(BitsBackError):
    """A model file is malformed, or unsafe to run."""


class ModelNotFoundError(ModelError):
    """No model of that name or identity is installed, embedded or on the search path."""


class InexactEngineError(ModelError):
    """No engine on this machine computes the model exactly, so coding with it would not be portable."""


class UnsafePathError(BitsBackError):
    """A member's name would leave the target folder, or cannot be a file name everywhere."""


class ImageError(BitsBackError):
    """A file could not be read as the image that its name or header claims."""


class OutputExistsError(BitsBackError):
    """The output is already there and overwriting was not asked for."""


class InputError(BitsBackError):
    """A file that is to be stored cannot be read: it is gone, belongs to somebody else, or its disk fails.

    ``name`` is what the file is called, ``reason`` why, in words.
    """

    def __init__(self, name: str, reason: str = "") -> None:
        super().__init__(name, reason)
        self.name, self.reason = name, reason

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}" if self.reason else self.name


class ChangedError(InputError):
    """An input is not what it was when the work began: it grew, shrank, was written to or replaced meanwhile."""


class KernelError(TypeError):
    """A kernel does what kernels cannot do, or was given what they do not take; or kernels cannot run here at all.

    A fault of ours or of the machine, never of what is read or written: so it is no :class:`BitsBackError`.
    """
