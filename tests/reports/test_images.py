import base64
import io

import numpy as np
from PIL import Image

from lambda_vae.reports.images import grid, png_data_uri, sheets


def test_grid_puts_every_image_in_its_place() -> None:
    images = np.stack([np.full((3, 4), value, np.uint8) for value in range(5)])
    canvas = grid(images, columns=3, gap=1, background=255)
    assert canvas.shape == (7, 14)
    assert [int(canvas[0, x]) for x in (0, 5, 10)] == [0, 1, 2]
    assert [int(canvas[4, x]) for x in (0, 5, 10)] == [3, 4, 255]
    assert (canvas[3] == 255).all()


def test_grid_keeps_colour() -> None:
    assert grid(np.zeros((2, 4, 4, 3), np.uint8), columns=2).shape == (4, 10, 3)


def test_pairs_stand_one_below_the_other() -> None:
    images = {
        name: np.full((20, 2, 2), value, np.uint8) for name, value in (("originals", 10), ("reconstructions", 20))
    }
    canvas = sheets(images, columns=8)["reconstructions"]
    assert canvas.shape == (6, 46)
    assert (int(canvas[0, 0]), int(canvas[4, 0])) == (10, 20)


def test_png_comes_back_bit_for_bit() -> None:
    image = np.arange(48, dtype=np.uint8).reshape(6, 8)
    uri = png_data_uri(image)
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(body)))), image)
