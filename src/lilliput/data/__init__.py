"""Data: what a model is trained and tested on, loaded from files, checked, split and preprocessed."""

from lilliput.data.arrays import load_csv, load_npz
from lilliput.data.dataset import Dataset, Split, make_dataset, stratified_split
from lilliput.data.digits import load_digits
from lilliput.data.folder import load_folder, read_image
from lilliput.data.idx import load_idx, read_idx
from lilliput.data.preprocess import Preprocess, fit_preprocess

__all__ = [
    "Dataset",
    "Preprocess",
    "Split",
    "fit_preprocess",
    "load_csv",
    "load_digits",
    "load_folder",
    "load_idx",
    "load_npz",
    "make_dataset",
    "read_idx",
    "read_image",
    "stratified_split",
]
