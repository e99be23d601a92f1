"""A DICOM file: a file on disk, or a member of a zip."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any

from segkit.errors import InputError
from segkit.files.names import natural_key
from segkit.io.dicom.files.zips import member_size, unpacked


@dataclass(frozen=True)
class DicomFile:
    """DICOM file on disk, or member of the zip ``path``."""

    path: Path
    member: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.member}" if self.member else str(self.path)

    @property
    def name(self) -> str:
        """Name of the file, without its folders."""
        return PurePosixPath(self.member).name if self.member else self.path.name

    @property
    def folder(self) -> str:
        """Folder of the file, on disk or inside the zip, with / as separator."""
        return (
            str(PurePosixPath(self.member).parent) if self.member else self.path.parent.as_posix()
        )

    @cached_property
    def key(self) -> tuple[Any, Any]:
        """Sort key for natural order, first by folder and then by name."""
        return natural_key(self.folder), natural_key(self.name)

    @property
    def size(self) -> int:
        """Number of bytes; for a zip member, its uncompressed size according to the zip."""
        return member_size(self.path, self.member) if self.member else self.path.stat().st_size

    def read(self) -> bytes:
        """Return all bytes.

        Raises:
            InputError: the file cannot be read, or the member is damaged.
        """
        with self.open() as file:
            return file.read()

    def open(self, limit: int | None = None) -> IO[bytes]:
        """Open the file as a seekable stream of bytes.

        A member of a zip is read into memory, up to ``limit`` bytes (by default all of it).

        Raises:
            InputError: the file cannot be read, or the member is damaged.
        """
        if self.member:
            return BytesIO(unpacked(self.path, self.member, limit))
        try:
            return self.path.open("rb")
        except OSError as error:
            found = "no such file" if isinstance(error, FileNotFoundError) else str(error.strerror)
            raise InputError(
                self.path,
                expected="a file that can be read",
                found=found,
                remedy="Check the path.",
            ) from error
