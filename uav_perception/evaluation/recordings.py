"""What a path on the command line is: a bag, a video, pictures, or a data set in its published layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from uav_perception.evaluation.bag import Bag, is_bag
from uav_perception.evaluation.errors import RecordingError, TruthError
from uav_perception.evaluation.picture_files import Pictures, Video, picture_files
from uav_perception.evaluation.settings import Settings
from uav_perception.evaluation.source import Source
from uav_perception.evaluation.truth_files import read_truth
from uav_perception.evaluation.truth_table import TruthTable
from uav_perception.evaluation.truth_topics import read_truth_topics, truth_topics
from uav_perception.frames.video import is_video

IN_TIME = ("bag", "video", "pictures")
"""Kinds whose images follow each other."""

KINDS = (*IN_TIME, "visdrone", "coco", "clips")

_SEQUENCE_RATE = 30.0
_IMAGE_FOLDERS = ("images", "JPEGImages", "data")


@dataclass(frozen=True)
class Recording:
    """A path and what lies there.

    Attributes:
        path: file or folder.
        kind: one of :data:`KINDS`.
        name: what reports call it; unique among those of a run.
    """

    path: str
    kind: str
    name: str

    def open(self, settings: Settings) -> tuple[Source, TruthTable | None]:
        """The images and their truth.

        Raises:
            RecordingError: it cannot be read.
            TruthError: its truth cannot be read.
        """
        path = Path(self.path)
        if self.kind == "bag":
            source = Bag(path, settings.image_topic)
            topics = truth_topics(source.topics, settings.truth_topic, path)
            recorded = read_truth_topics(path, topics) if topics else None
            truth = _merged(_file_truth(settings, path), recorded)
        elif self.kind == "video":
            source, truth = Video(path), _file_truth(settings, path)
        elif self.kind == "pictures":
            source = Pictures(path.name, picture_files(path), _SEQUENCE_RATE)
            truth = _file_truth(settings, path)
        elif self.kind in ("visdrone", "coco"):
            source, own = _data_set(path, self.kind)
            truth = _merged(_file_truth(settings, path), own)  # what is asked for wins over what lies there
        else:
            raise RecordingError(f"{path} is a data set of clips; it is read clip by clip.")
        source.name = self.name
        return source, truth


def _merged(first: TruthTable | None, second: TruthTable | None) -> TruthTable | None:
    if first is None or second is None:
        return first or second
    return first.merged(second)


def find_recordings(paths: Sequence[str | Path]) -> list[Recording]:
    """Recognise what lies at each path; a folder of recordings becomes all of them.

    Raises:
        RecordingError: a path does not exist, or nothing that can be evaluated lies there.
    """
    found: list[Recording] = []
    for path in map(Path, paths):
        if not path.exists():
            raise RecordingError(f"There is no recording {path}.")
        here = _recognised(path)
        if here is None and path.is_dir():
            inside = [(p, _recognised(p)) for p in sorted(path.iterdir()) if not p.name.startswith(".")]
            # A .json named after a recording beside it is that one's truth and no data set.
            flights = {_name(p) for p, kind in inside if kind not in (None, "coco")}
            inside = [(p, kind) for p, kind in inside if kind != "coco" or _name(p) not in flights]
            found += [Recording(str(p), kind, _name(p)) for p, kind in inside if kind is not None]
            if any(kind is not None for _, kind in inside):
                continue
        if here is None:
            raise RecordingError(
                f"{path} is nothing that can be evaluated: no bag (a folder with metadata.yaml, .mcap, .db3, .bag), no "
                "video, no folder of pictures, and no data set in the layout of VisDrone-DET (images/, annotations/), "
                "UAVDT, COCO (a .json), HMDB51 or UCF101."
            )
        found.append(Recording(str(path), here, _name(path)))
    return _with_unique_names(found)


def _recognised(path: Path) -> str | None:
    if is_bag(path):
        return "bag"
    if path.is_file():
        if is_video(path):
            return "video"
        return "coco" if path.suffix == ".json" else None
    if (path / "images").is_dir() and (path / "annotations").is_dir():
        return "visdrone"
    if (path / "ucfTrainTestlist").is_dir() or (path / "testTrainMulti_7030_splits").is_dir():
        return "clips"
    return "pictures" if picture_files(path) else None


def _name(path: Path) -> str:
    path = path.resolve()
    return path.stem if path.is_file() else path.name


def _with_unique_names(recordings: list[Recording]) -> list[Recording]:
    taken = {recording.name for recording in recordings}
    first: set[str] = set()
    unique = []
    for recording in recordings:
        name, number = recording.name, 2
        if name in first:
            while (name := f"{recording.name}-{number}") in taken:
                number += 1
        first.add(recording.name)
        taken.add(name)
        unique.append(Recording(recording.path, recording.kind, name))
    return unique


def _file_truth(settings: Settings, recording: Path) -> TruthTable | None:
    truth: TruthTable | None = None
    for given in settings.truth:
        path = truth_file(Path(given), recording)
        truth = _merged(truth, read_truth(path, _name(recording), settings.truth_format))
    return truth


def truth_file(given: Path, recording: Path) -> Path:
    """The truth of one recording: a file itself, or the file in a folder that is named after the recording.

    Raises:
        TruthError: there is no such file.
    """
    if not given.exists():
        raise TruthError(f"There is no truth {given}.")
    if given.is_file():
        return given
    name = _name(recording)
    candidates = [given / f"{name}{end}" for end in ("_gt_whole.txt", ".txt", ".json", ".csv")]
    candidates += [given / name / "gt" / "gt.txt", given / name]
    for candidate in candidates:
        if candidate.exists():
            return candidate
    pictures = {p.stem for p in picture_files(recording)} if recording.is_dir() else set()
    if pictures & {p.stem for p in given.glob("*.txt")}:
        return given  # VisDrone-DET: one text file for each picture
    raise TruthError(
        f"The folder {given} holds no truth of {name}: neither {', '.join(c.name for c in candidates[:4])} nor "
        f"{name}/gt/gt.txt is there."
    )


def _data_set(path: Path, kind: str) -> tuple[Source, TruthTable]:
    if kind == "visdrone":
        from uav_perception.datasets.visdrone import read_visdrone

        images = read_visdrone(path)
    else:
        from uav_perception.datasets.coco import read_coco

        images = read_coco(path, _image_folder(path))
    source = Pictures(path.stem, [image.path for image in images.images])
    # By index, since folders of one set may hold pictures of the same name.
    truth = {index: image.truth for index, image in enumerate(images.images)}
    return source, TruthTable(path.name, images.class_names, "index", truth)


def _image_folder(annotations: Path) -> Path:
    """Where a COCO json's pictures lie: beside it, or in a folder of one of the usual names."""
    import json

    try:
        first = json.loads(annotations.read_text(encoding="utf-8"))["images"][0]["file_name"]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise RecordingError(f"{annotations} is no COCO file with images ({type(error).__name__}: {error}).") from error
    places = [base / name for base in (annotations.parent, annotations.parent.parent) for name in ("", *_IMAGE_FOLDERS)]
    for place in places:
        if (place / first).is_file():
            return place
    raise RecordingError(
        f"The pictures of {annotations} are nowhere near it: {first} is not in {', '.join(map(str, places))}."
    )
