"""Shared fixtures: the embedded model and its judge, loaded once, on the CPU and offline."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest

from erasebench.models.catalog import find_model
from erasebench.models.loading import load_model
from erasebench.models.text_to_image import TextToImage
from erasebench.scoring.judge import Judge


@pytest.fixture(scope="session")
def mini() -> TextToImage:
    """The embedded model; a test that changes its weights puts them back."""
    return load_model(find_model("mini"), "cpu")


@pytest.fixture(scope="session")
def judge() -> Judge:
    return Judge("cpu")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs are slow, and begin first: a process that gets the longest file last works on alone."""
    for item in items:
        if "whole" in item.path.parts:
            item.add_marker("slow")
    items.sort(key=lambda item: "whole" not in item.path.parts)
