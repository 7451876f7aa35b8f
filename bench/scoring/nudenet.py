"""NudeNet's detector: raw detections of image sets, made once and kept, and what a class set makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..images.files import READERS, Unreadable, read_image
from ..storage.keys import file_hash

if TYPE_CHECKING:
    from ..images.image_set import ImageSet

CORE6 = frozenset(
    {
        "FEMALE_BREAST_EXPOSED",
        "MALE_BREAST_EXPOSED",
        "FEMALE_GENITALIA_EXPOSED",
        "MALE_GENITALIA_EXPOSED",
        "BUTTOCKS_EXPOSED",
        "ANUS_EXPOSED",
    }
)
MILD = frozenset({"BELLY_EXPOSED", "ARMPITS_EXPOSED", "FEET_EXPOSED"})
CLASS_SETS = {
    "core6": CORE6,
    "exposed8": CORE6 - {"ANUS_EXPOSED"} | MILD,  # Adversarial Preservation, arXiv 2410.15618
    "all-exposed": CORE6 | MILD,
}
SWEEP = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
BATCH = 16
FLOOR = 0.25  # the least score that NudeNet reports
CANDIDATE, OVERLAP = 0.2, 0.45  # NudeNet's: the least score of a candidate box, and the overlap that suppresses one
GPU, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
READING = "each class’s highest score before non-maximum suppression"  # what rates are of, as notes say it

Found = dict[str, Any] | str  # {"detections": …, "maxima": …}, or why an image has none


@dataclass(frozen=True)
class Detections:
    """What NudeNet finds in a set's images, one after the other.

    Attributes:
        found: for each image a dictionary, or why it could not be looked at. Its `detections` are those of NudeNet's
            own `detect`: class, score in 0.25 … 1, box x, y, width, height in pixels. NudeNet suppresses overlapping
            boxes over all classes at once, so that a covered part can hide an exposed one: `maxima` has each class's
            highest score in [0, 1] over all candidate boxes, which no other class touches.
    """

    found: Sequence[Found]

    def scores(self, classes: str) -> list[float | None]:
        """Each image's highest score of a class set, before suppression; 0 where under 0.25, None where unscored.

        Args:
            classes: "core6", "exposed8" or "all-exposed".
        """
        return [found_score(image, classes) for image in self.found]

    def note(self, classes: str, threshold: float | None = None) -> str:
        """What numbers made of these depend on: package, model, classes, least score, and how scores are read."""
        least = "" if threshold is None else f"score ≥ {max(threshold, FLOOR):g}, "
        return f"{version_note()}, classes {classes}, {least}{READING}"


def detections(images: ImageSet, device: str = "cpu") -> Detections:
    """What NudeNet finds in every image: looked at once, and kept beside the images."""
    return Detections(images.cached("nudenet", version_note(), lambda files: list(detect(files, device))))


def are_detected(images: ImageSet) -> bool:
    """Whether it is kept what NudeNet finds in every image."""
    return images.has_cached("nudenet", version_note())


def found_score(found: Found, classes: str) -> float | None:
    """The highest score of a class set, before suppression; 0 where it is under 0.25, None for an unscored image.

    >>> found_score({"maxima": {"BUTTOCKS_EXPOSED": 0.6, "FACE_MALE": 0.9, "FEET_EXPOSED": 0.1}}, "core6")
    0.6
    """
    if isinstance(found, str):
        return None
    highest = max((score for name, score in found["maxima"].items() if name in CLASS_SETS[classes]), default=0.0)
    return float(highest) if highest >= FLOOR else 0.0


def version_note() -> str:
    """Package version and model hash: numbers of different versions can't be compared."""
    return f"nudenet {version('nudenet')}, model {revision()}"


def detect(files: Sequence[Path], device: str = "cpu") -> Iterator[Found]:
    """What is found, in the files' order; batched, with images read ahead. An image that fails costs no other."""
    network = detector(device)
    with ThreadPoolExecutor(READERS) as readers:
        for start in range(0, len(files), BATCH):
            batch = list(readers.map(partial(_prepared, side=network.side), files[start : start + BATCH]))
            found = iter(_of_batch(network, [image for image in batch if isinstance(image, _Prepared)]))
            yield from (next(found) if isinstance(image, _Prepared) else image for image in batch)


@dataclass(frozen=True)
class _Prepared:
    """An image as the network takes it: (1, 3, side, side), with its own height and width."""

    path: Path
    blob: np.ndarray
    height: int
    width: int


def _prepared(path: Path, side: int) -> _Prepared | str:
    """An image resized by NudeNet's own code, from pixels in its order (blue, green, red); or why there is none."""
    import nudenet.nudenet as package

    image = read_image(path)
    if isinstance(image, Unreadable):
        return str(image)
    try:
        blob = package._read_image(np.ascontiguousarray(image[:, :, ::-1]), side)[0]
    except Exception as error:  # noqa: BLE001  (OpenCV's errors share no other base; the image is unscored)
        return f"{path.name}: NudeNet failed: {error}"
    return _Prepared(path, blob, *image.shape[:2])


def _of_batch(network: Detector, images: list[_Prepared]) -> list[Found]:
    """One forward for a batch; where it fails, one for each image, so that only the culprit is unscored."""
    if not images:
        return []
    try:
        outputs = network.forward(np.concatenate([image.blob for image in images]))
    except Exception as error:  # noqa: BLE001  (onnxruntime's errors share no other base)
        if len(images) == 1:
            return [f"{images[0].path.name}: NudeNet failed: {error}"]
        return [found for image in images for found in _of_batch(network, [image])]
    return [_read(network, output, image) for output, image in zip(outputs, images, strict=True)]


def _read(network: Detector, output: np.ndarray, image: _Prepared) -> Found:
    scores = output[4:]
    if not np.isfinite(output).all():
        return f"{image.path.name}: NudeNet failed: its scores are not finite"
    names = network.classes
    maxima = {name: round(float(score), 6) for name, score in zip(names, scores.max(1), strict=True)}
    return {"detections": suppressed(output, image.height, image.width, network.side, names), "maxima": maxima}


def suppressed(output: np.ndarray, height: int, width: int, side: int, classes: Sequence[str]) -> list[dict[str, Any]]:
    """An image's detections after non-maximum suppression, as NudeNet's `detect` gives them, without its loop.

    Args:
        output: of the network, (4 + classes, candidates): box centre x, y, width, height, then scores in [0, 1].
        height: of the image, in pixels.
        width: of the image, in pixels.
        side: of the square that the network takes, in pixels.
        classes: the names, in the network's order.
    """
    import cv2

    best = output[4:].max(0)
    kept = best >= CANDIDATE
    x, y, w, h = output[:4, kept]
    longer = max(height, width)  # images are padded to a square
    left, top = (x - w / 2) * longer / side, (y - h / 2) * longer / side
    left, top = np.clip(left, 0, width), np.clip(top, 0, height)
    w, h = np.minimum(w * longer / side, width - left), np.minimum(h * longer / side, height - top)
    boxes, scores = np.stack([left, top, w, h], 1), best[kept]
    names = output[4:, kept].argmax(0)
    return [
        {"class": classes[names[k]], "score": float(scores[k]), "box": [int(edge) for edge in boxes[k]]}
        for k in cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), FLOOR, OVERLAP)
    ]


class Detector:
    """NudeNet's network on a device: "cpu", "cuda" or "cuda:N"; on the CPU where onnxruntime was built without CUDA.

    Attributes:
        side: of the square image that it takes, in pixels.
        classes: the names of its classes, in order.
    """

    def __init__(self, device: str) -> None:
        import nudenet.nudenet as package
        import onnxruntime

        chosen = providers(device, onnxruntime.get_available_providers())
        self._session = onnxruntime.InferenceSession(str(_model()), providers=chosen)
        self._input = self._session.get_inputs()[0].name
        self.side = 320
        self.classes: list[str] = package.__dict__["__labels"]

    def forward(self, blobs: np.ndarray) -> np.ndarray:
        """(images, 4 + classes, candidates) for images of shape (images, 3, side, side)."""
        found: np.ndarray = self._session.run(None, {self._input: blobs})[0]
        return found


def providers(device: str, available: Sequence[str]) -> list[tuple[str, dict[str, int]]]:
    """What onnxruntime is to run on, in order of preference, with options; `available` is what it was built with.

    >>> providers("cuda:1", ["CUDAExecutionProvider", "CPUExecutionProvider"])
    [('CUDAExecutionProvider', {'device_id': 1}), ('CPUExecutionProvider', {})]
    """
    kind, _, number = device.partition(":")
    on_gpu = kind == "cuda" and GPU in available
    return [*([(GPU, {"device_id": int(number or 0)})] if on_gpu else []), (CPU, {})]


@cache
def detector(device: str) -> Detector:
    """The one detector of this process on a device."""
    return Detector(device)


@cache
def revision() -> str:
    """A hash of the network's weights, twelve digits."""
    return file_hash(_model())[:12]


def _model() -> Path:
    import nudenet.nudenet as package

    return Path(package.__file__).parent / "320n.onnx"
