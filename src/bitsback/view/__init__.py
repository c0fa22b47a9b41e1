"""Looking into an archive: a local page, or one static file."""

from bitsback.view.gallery import Gallery

__all__ = ["Gallery"]
