"""Guarded fetching, what bytes are, pictures, and the blob store."""

from .blob import Blob, Blobs, MediaKind
from .references import BLOB_REFS, BLOBS, BlobRecord, BlobRef, refer, release

__all__ = ["BLOBS", "BLOB_REFS", "Blob", "BlobRecord", "BlobRef", "Blobs", "MediaKind", "refer", "release"]
