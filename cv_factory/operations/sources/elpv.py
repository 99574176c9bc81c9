"""The sample: ELPV, 2,624 electroluminescence images of solar cells, from the package ``elpv-dataset``.

Buerhop-Lutz et al., "A Benchmark for Visual Identification of Defective Solar Cells in Electroluminescence Imagery",
EU PVSEC 2018. The images are CC BY-NC-SA 4.0; they are read where the package manager put them and go nowhere but to
the buckets of this account.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from contracts.errors import DataError
from cv_factory.operations.sources import Source, SourceImage
from cv_factory.operations.sources.folder import file_stamp, reader

IDENTITY = "elpv"
POSITIVE, NEGATIVE = "defective", "functional"
LICENCE = "CC BY-NC-SA 4.0"
NOTICE = (
    "ELPV, Buerhop-Lutz et al. 2018, github.com/zae-bayern/elpv-dataset: CC BY-NC-SA 4.0. No commercial use; name the"
    " authors; a model trained on these images falls under the same terms."
)
#: An image counts as defective from this probability on: the authors' "noticeable" 2/3 and "certain" 1.
THRESHOLD = 0.5

#: Cells of each of the 44 modules, in the order of the files. The paper counts 44 modules, 18 monocrystalline and 26
#: polycrystalline, but the package does not say which cell is of which. The order does: cell types come in ten runs,
#: run lengths are multiples of a module's 60 (or 48, 54, 72) cells, and the mean image changes at the same places.
#: Which of modules 22 to 26 is the one with 54 cells is a guess that may be off by up to 6 cells.
MODULE_SIZES = (
    *[60] * 1,               # mono
    *[60] * 5,               # poly
    *[60] * 3,               # mono
    *[60] * 6,               # poly
    *[60] * 7, 54, *[60] * 4,  # mono
    60, 60, 60, 50, *[60] * 5,  # poly
    72,                      # mono
    *[60] * 3,               # poly
    48,                      # mono
    *[60] * 3,               # poly
)  # fmt: skip
CELLS = sum(MODULE_SIZES)


def package_folder() -> Path:
    """Where the installed package keeps its data, without importing it.

    Raises:
        DataError: it is not installed.
    """
    spec = importlib.util.find_spec("elpv_dataset")
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            "the sample images are not installed",
            f"They are the package elpv-dataset, {LICENCE} (no commercial use). Install the extra:"
            ' pip install -e ".[sample]"\nOr name your own folder: cv-factory data import ./folder',
        )
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def scan(folder: Path | None = None) -> Source:
    """List the installed sample (or the one in ``folder``).

    Group = module, soft target = the probability of a defect, slice ``cell_type`` = mono or poly.

    Raises:
        DataError: not installed, or not the version that the table of modules was made for.
    """
    folder = folder or package_folder()
    try:
        rows = [
            line.split() for line in (folder / "labels.csv").read_text(encoding="utf-8").splitlines() if line.strip()
        ]
    except FileNotFoundError:
        rows = []
    names = [f"images/cell{number:04d}.png" for number in range(1, CELLS + 1)]
    if [row[0] for row in rows] != names or any(len(row) != 3 for row in rows):
        raise DataError(
            f"{folder} is not the ELPV data set that this version knows ({len(rows)} labels; {CELLS} expected)",
            'Install the pinned version again: pip install --force-reinstall -e ".[sample]"',
        )
    images = []
    cell = iter(rows)
    for module, size in enumerate(MODULE_SIZES):
        for _ in range(size):
            name, probability, kind = next(cell)
            target = float(probability)
            label = POSITIVE if target >= THRESHOLD else NEGATIVE
            file = folder / name
            try:
                status = file.stat()
            except FileNotFoundError:
                raise DataError(
                    f"{file} is missing", 'Install the sample again: pip install --force-reinstall -e ".[sample]"'
                ) from None
            images.append(
                SourceImage(
                    path=f"{label}/{file.name}",
                    label=label,
                    size=status.st_size,
                    stamp=file_stamp(status),
                    read=reader(file),
                    group=f"module{module:02d}",
                    target=target,
                    slices={"cell_type": kind},
                )
            )
    images.sort(key=lambda image: image.path)
    counts = {label: sum(image.label == label for image in images) for label in (POSITIVE, NEGATIVE)}
    return Source(
        identity=IDENTITY,
        classes=counts,
        images=tuple(images),
        slice_columns=("cell_type",),
        positive_class=POSITIVE,
        licence=LICENCE,
        notice=NOTICE,
    )
