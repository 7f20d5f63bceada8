"""How good samples are: distances to real images, the class they are read as, and whether they are new."""

from pixelbayes.evaluation.generation.domain import DomainFeatures, ReadAsAsked, read_classes
from pixelbayes.evaluation.generation.drawing import MANIFEST, Draw, draw_samples, read_manifest
from pixelbayes.evaluation.generation.extractors import EXTRACTORS, make_extractor
from pixelbayes.evaluation.generation.features import Extractor
from pixelbayes.evaluation.generation.figures import nearest_neighbours
from pixelbayes.evaluation.generation.frechet import Moments, frechet_distance
from pixelbayes.evaluation.generation.kernel import KernelDistance, kernel_distance, squared_mmd
from pixelbayes.evaluation.generation.memorising import Memorising, Nearness, check_memorising
from pixelbayes.evaluation.generation.naming import file_stems, sample_name
from pixelbayes.evaluation.generation.nearest import Neighbours, nearest
from pixelbayes.evaluation.generation.quality import Distance, SampleQuality, class_distances, measure_quality
from pixelbayes.evaluation.generation.reading import Samples, read_samples

__all__ = [
    "EXTRACTORS",
    "MANIFEST",
    "Distance",
    "DomainFeatures",
    "Draw",
    "Extractor",
    "KernelDistance",
    "Memorising",
    "Moments",
    "Nearness",
    "Neighbours",
    "ReadAsAsked",
    "SampleQuality",
    "Samples",
    "check_memorising",
    "class_distances",
    "draw_samples",
    "file_stems",
    "frechet_distance",
    "kernel_distance",
    "make_extractor",
    "measure_quality",
    "nearest",
    "nearest_neighbours",
    "read_classes",
    "read_manifest",
    "read_samples",
    "sample_name",
    "squared_mmd",
]
