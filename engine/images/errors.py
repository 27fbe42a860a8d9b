"""What can be wrong with an image. Every message names the object, the reason and the way out."""

from collections.abc import Sequence


class ImageError(Exception):
    """Anything that keeps an image from being stored, read or unpacked."""


class BadReference(ImageError):
    """A name that is not an image reference."""


class BadDigest(ImageError, ValueError):
    """A text that is not a digest. Also a ValueError, so that a JSON decoder can place it."""


class BadImage(ImageError):
    """A manifest, index, config, blob or archive that breaks the image specification."""


class BadLayer(ImageError):
    """A layer's archive that is damaged, hostile, or beyond a limit."""


class ImageNotFound(ImageError):
    """No image is stored under this reference."""

    def __init__(self, reference: str, available: Sequence[str] = ()) -> None:
        self.reference = reference
        self.available = tuple(available)
        there = ", ".join(self.available) or "nothing"
        super().__init__(
            f"image {reference!r} is not in the store, which has {there}; get it with"
            " `podarium pull REF` or `podarium load -i ARCHIVE`"
        )


class PathNotFound(ImageError):
    """An image has no file of this name, or it is of another kind than was asked for."""
