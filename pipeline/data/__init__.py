"""Data sets: fetch the raw files, prepare them, load what was prepared.

sources: addresses and checksums; fetching: how files are brought in; formats: decoders; resizing: MATLAB's
imresize; textures: images from a known source; preparing: from raw files to splits; datasets: the prepared form;
own: data sets that a user adds in params.yaml.
"""

from pipeline.data.datasets import Dataset, load_dataset, save
from pipeline.data.fetching import fetch
from pipeline.data.formats import DataError
from pipeline.data.own import register
from pipeline.data.preparing import prepare
from pipeline.data.sources import mirror_folder, require

__all__ = ["DataError", "Dataset", "fetch", "load_dataset", "mirror_folder", "prepare", "register", "require", "save"]
