"""Shared fixtures: the embedded model and its judge, loaded once, on the CPU and offline."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest

from erasebench.mini.judge import Judge
from erasebench.models import TextToImage
from erasebench.sources import find_model


@pytest.fixture(scope="session")
def mini() -> TextToImage:
    """The embedded model; a test that changes its weights puts them back."""
    return find_model("mini").load("cpu")


@pytest.fixture(scope="session")
def judge() -> Judge:
    return Judge("cpu")
