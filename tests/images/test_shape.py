import pytest

from pixelbayes.images.shape import ImageShape
from pixelbayes.utils.errors import InputError


def test_a_shape_has_the_sizes_that_follow_from_its_fields():
    shape = ImageShape(height=6, width=8, channels=3, levels=17)
    assert (shape.size, shape.chw, shape.dims, shape.is_square) == ((6, 8), (3, 6, 8), 144, False)
    assert ImageShape(height=6, width=6).is_square
    assert str(ImageShape(height=8, width=8, channels=1, levels=17)) == "8 x 8 pixels, 1 channel, 17 levels"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"height": 0}, r"image_size is \(0, 8\)"),
        ({"width": -1}, r"image_size is \(8, -1\)"),
        ({"channels": 2}, "channels is 2, expected 1 "),
        ({"levels": 1}, "levels is 1, expected 2 to 256"),
        ({"levels": 257}, "levels is 257, expected 2 to 256"),
    ],
)
def test_a_field_out_of_range_is_named(fields, message):
    with pytest.raises(InputError, match=f"^{message}"):
        ImageShape(**({"height": 8, "width": 8} | fields))
