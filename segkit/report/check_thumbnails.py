"""Small pictures of the cases of a dataset, drawn while their voxels are in memory."""

from __future__ import annotations

from segkit.dataset.dataset import Case, Dataset
from segkit.fingerprint.case_facts import CaseVoxels
from segkit.report.case_picture import thumbnail
from segkit.report.check_faulty_pictures import faulty_picture


class Thumbnails:
    """Pictures of the cases as JPEG, by case id: about 10 kB for each case."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.of_case: dict[str, bytes] = {}
        self.remarks: dict[str, str] = {}
        """Case id -> what must be said about its picture, or why there is none."""

    def draw(self, case: Case, voxels: CaseVoxels | None) -> None:
        """Draw a case from its voxels, or, if it has an error, whatever can be read of it."""
        picture: bytes | None
        if voxels is not None:
            picture, remark = thumbnail(voxels, self.dataset), ""
        else:
            picture, remark = faulty_picture(case, self.dataset)
        if picture:
            self.of_case[case.id] = picture
        if remark:
            self.remarks[case.id] = remark
