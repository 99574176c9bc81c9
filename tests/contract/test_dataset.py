"""The manifests of both datasets: written, read back, and hashed the same on any machine."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from contracts import dataset, jsonio
from contracts.dataset import (
    Dropped,
    ImportedDataset,
    ImportedImage,
    PreparedDataset,
    PreparedImage,
    Shard,
)
from contracts.errors import ContractError

text = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=12)
sha = st.text("0123456789abcdef", min_size=64, max_size=64)
targets = st.none() | st.floats(0, 1)
slices = st.dictionaries(text, text, max_size=2)
splits = st.sampled_from(dataset.SPLITS)
sizes = st.integers(1, 2**40)

imported_images = st.builds(
    ImportedImage,
    path=text, key=text, label=text, size=sizes, sha256=sha, width=sizes, height=sizes,
    mode=st.sampled_from(["L", "RGB"]), split=splits, group=st.just("") | text, target=targets, slices=slices,
    version=st.just("") | text,
)  # fmt: skip
dropped = st.lists(st.builds(Dropped, path=text, reason=text), max_size=3).map(tuple)
imported = st.builds(
    ImportedDataset,
    source=text, image_root=st.just("s3://bucket/blobs/"), classes=st.lists(text, max_size=3).map(tuple),
    positive_class=st.none() | text, protocol=st.sampled_from(["group", "random"]), test_share=st.floats(0, 1),
    seed=st.integers(0, 2**31 - 1), split_id=text, slice_columns=st.lists(text, max_size=2).map(tuple),
    images=st.lists(imported_images, max_size=4).map(tuple), dropped=dropped, licence=st.just("") | text,
)  # fmt: skip
prepared = st.builds(
    PreparedDataset,
    dataset_hash=sha, source=text, protocol=st.sampled_from(["group", "random"]), seed=st.integers(0, 9),
    classes=st.lists(text, max_size=3).map(tuple), positive_class=st.none() | text, input_size=st.integers(32, 1024),
    color_mode=st.sampled_from(["L", "RGB"]), slice_columns=st.lists(text, max_size=2).map(tuple),
    shards=st.lists(st.builds(Shard, file=text, split=splits, count=sizes, sha256=sha), max_size=3).map(tuple),
    images=st.lists(
        st.builds(PreparedImage, path=text, sha256=sha, label=text, group=text, target=targets, slices=slices,
                  shard=text, index=st.integers(0, 10**6)),
        max_size=3,
    ).map(tuple),
    dropped=dropped, licence=st.just("") | text, instances=st.integers(1, 100),
)  # fmt: skip


def through_json(value: Any) -> Any:
    """As it comes back from a file, keys in another order."""
    parsed = json.loads(jsonio.pretty(value.to_json()))
    return dict(reversed(parsed.items()))


@given(imported)
@settings(max_examples=60, deadline=None)
def test_an_imported_dataset_is_read_back_with_its_hash(value: ImportedDataset) -> None:
    again = ImportedDataset.from_json(through_json(value))
    assert again == value and again.hash == value.hash and value.hash.startswith(value.short_hash)


@given(prepared)
@settings(max_examples=60, deadline=None)
def test_a_prepared_dataset_is_read_back(value: PreparedDataset) -> None:
    again = PreparedDataset.from_json(through_json(value))
    assert again == value and again.split_of() == {shard.file: shard.split for shard in value.shards}


def example() -> ImportedDataset:
    image = ImportedImage("a/1.png", "ab/1.png", "a", 10, "1" * 64, 8, 8, "L", dataset.TRAIN)
    return ImportedDataset(
        source="./folder", image_root="s3://bucket/blobs", classes=("a", "b"), positive_class="b", protocol="group",
        test_share=0.25, seed=0, split_id="s", slice_columns=(), images=(image, replace(image, path="a/2.png")),
    )  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"protocol": "random"}, {"split_id": "t"}, {"licence": "x"}, {"source": "./other"}, {"images": ()}],
)
def test_whatever_is_in_the_manifest_changes_the_datasets_name(change: dict[str, Any]) -> None:
    assert replace(example(), **change).hash != example().hash


def test_sagemakers_manifest_names_each_object_once_below_its_prefix() -> None:
    assert dataset.images_manifest(example()) == [{"prefix": "s3://bucket/blobs/"}, "ab/1.png"]


def test_a_blobs_key_keeps_the_suffix_in_lower_case() -> None:
    assert dataset.blob_key("ab" + "0" * 62, "Class/IMG 1.JPeG") == "ab/ab" + "0" * 62 + ".jpeg"
    assert dataset.blob_key("ab" + "0" * 62, "no_suffix") == "ab/ab" + "0" * 62


@given(st.floats(0, 1))
def test_a_target_vector_sums_to_one(target: float) -> None:
    vector = dataset.target_vector(("a", "b"), "b", "a", target)
    assert vector == [1 - target, target] and abs(sum(vector) - 1) < 1e-12
    assert dataset.target_vector(("a", "b"), "b", "a", None) == [1.0, 0.0]
    assert dataset.target_vector(("a", "b", "c"), None, "c", target) == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("kind", [ImportedDataset, PreparedDataset])
def test_another_format_and_a_missing_or_unknown_field_are_named(kind: Any) -> None:
    with pytest.raises(ContractError, match="format version 7; this code reads 1"):
        kind.from_json({"format_version": 7})
    with pytest.raises(ContractError, match="incomplete"):
        kind.from_json({"format_version": 1})
    value = example().to_json()
    value["images"][0]["colour"] = "blue"
    with pytest.raises(ContractError, match="incomplete"):
        ImportedDataset.from_json(value)
