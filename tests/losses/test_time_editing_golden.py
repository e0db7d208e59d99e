"""Terms of the latent optimisation against the published program's outputs."""

import numpy as np
import pytest
import torch

from telltime.losses.time_editing import angle, directional, learning_rate, text_direction


@pytest.fixture(scope="module")
def stored(golden):
    return golden.npz("ticl_editing.npz")


@pytest.fixture(scope="module")
def toy(golden, stored):
    """The toy encoders: pictures by a matrix, texts by their names."""
    seed, width = int(stored["seed"]), stored["text_direction"].shape[1]
    pixels = int(np.prod(stored["source_image"].shape[1:]))
    matrix = golden.tensor("image_encoder", (pixels, width), seed)

    def texts(word):
        templates = [str(template).format(word) for template in stored["templates"]]
        return torch.stack([golden.tensor(f"text/{text}", (width,), seed) for text in templates])

    return lambda pictures: pictures.flatten(1) @ matrix, texts


def test_the_learning_rate_goes_up_and_down_as_published(stored):
    steps, initial = int(stored["steps"]), float(stored["initial_lr"])
    ours = [learning_rate(i, steps, initial, float(stored["rampdown"]), float(stored["rampup"])) for i in range(steps)]
    np.testing.assert_allclose(ours, stored["lr_schedule"], rtol=1e-12, atol=1e-15)


def test_pictures_go_the_way_of_the_words_as_published(stored, toy):
    image, texts = toy
    words = text_direction(texts("daytime"), texts("night"))
    np.testing.assert_allclose(words, stored["text_direction"], atol=2e-6)
    target = torch.from_numpy(stored["target_image"]).requires_grad_()
    loss = directional(image(torch.from_numpy(stored["source_image"])), image(target), words).mean()
    np.testing.assert_allclose(loss.item(), stored["directional_loss"], rtol=2e-6)
    loss.backward()
    np.testing.assert_allclose(target.grad, stored["directional_grad"], atol=2e-6)


def test_pictures_come_as_far_from_each_other_as_texts(stored, toy):
    image, texts = toy
    source, target = (image(torch.from_numpy(stored[f"{name}_image"])) for name in ("source", "target"))
    unit = torch.nn.functional.normalize
    words = [unit(texts(word), dim=-1).mean(0, keepdim=True) for word in ("daytime", "night")]
    np.testing.assert_allclose(angle(source, target, *words).mean(), stored["angle_loss"], rtol=2e-6)
