"""Which of a photograph's EXIF tags may go with a copy of it."""

import contextlib

from PIL import ExifTags, Image

# Tags about the file rather than the photograph: pixel layout, orientation, preview, other metadata blocks.
_FILE_TAGS = frozenset(range(0x00FE, 0x010E)) | frozenset(range(0x0111, 0x011E)) | frozenset(range(0x0140, 0x0216))
_FILE_TAGS |= {0x02BC, 0x83BB, 0x8649, 0x8769, 0x8773, 0x8825, 0xA005}
# Maker note, pixel width and height, interoperability block.
_EXIF_BLOCK_LEFT_OUT = frozenset({0x927C, 0xA002, 0xA003, 0xA005})


def for_copy(exif: Image.Exif | None, keep_location: bool) -> bytes | None:
    """Encode EXIF for a copy of a photograph, without orientation, preview and maker notes; None where nothing is left.

    Args:
        keep_location: include the GPS block.
    """
    if exif is None:
        return None
    kept = Image.Exif()
    with contextlib.suppress(Exception):  # of damaged metadata, what can be read is kept
        kept.update({tag: value for tag, value in exif.items() if tag not in _FILE_TAGS})
        block = exif.get_ifd(ExifTags.IFD.Exif)
        kept.get_ifd(ExifTags.IFD.Exif).update({tag: value for tag, value in block.items() if tag not in _EXIF_BLOCK_LEFT_OUT})
        if keep_location:
            kept.get_ifd(ExifTags.IFD.GPSInfo).update(exif.get_ifd(ExifTags.IFD.GPSInfo))
    try:
        return kept.tobytes() if len(kept) or kept.get_ifd(ExifTags.IFD.Exif) else None
    except Exception:  # values that do not fit their types
        return None
