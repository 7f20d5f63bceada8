"""Makes course_network.pth and course_network.npz: a tiny network of the course's code and what it computes.

The course's code is pclucas14's port of PixelCNN++ (https://github.com/pclucas14/pixel-cnn-pp) with an embedding of the
label, as large as the image, added to the input. `CourseNetwork` is its forward pass in float64, written from the names
in its state dicts. It uses no code of pixelbayes. With the state dict of a network that was trained with the course's
code, it computes the outputs that were recorded with that network.

Run from the repository root: python tests/vectors/make_course_network.py
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

sys.path.append(str(Path(__file__).parent))
from make_original_nll import original_nll

NUM_BLOCKS, CLASSES, SIZE = 1, 4, (8, 12)  # size: H, W


def course_state(num_blocks, filters=3, mixtures=2, classes=CLASSES, size=SIZE):
    """A state dict with the course's names and random numbers, with weight norm w = g v / ||v||."""
    state = {}
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, generator=generator)

    def conv(name, outputs, *rest):
        state[f"{name}.weight_v"] = draw(outputs, *rest)
        state[f"{name}.weight_g"] = (draw(outputs, *(1,) * len(rest)) + 1) / 2
        state[f"{name}.bias"] = draw(rest[0] if "deconv" in name else outputs) / 2

    def block(name, kernel, skip):
        conv(f"{name}.conv_input.conv", filters, 2 * filters, *kernel)
        conv(f"{name}.conv_out.conv", 2 * filters, 2 * filters, *kernel)
        if skip:
            conv(f"{name}.nin_skip.lin_a", filters, 2 * skip)

    for layer in range(3):
        for index in range(num_blocks):
            block(f"up_layers.{layer}.u_stream.{index}", (2, 3), 0)
            block(f"up_layers.{layer}.ul_stream.{index}", (2, 2), filters)
        for index in range(num_blocks + (layer > 0)):
            block(f"down_layers.{layer}.u_stream.{index}", (2, 3), filters)
            block(f"down_layers.{layer}.ul_stream.{index}", (2, 2), 2 * filters)
    for layer in range(2):
        for stream, kernel in (("u", (2, 3)), ("ul", (2, 2))):
            conv(f"downsize_{stream}_stream.{layer}.conv", filters, filters, *kernel)
            conv(f"upsize_{stream}_stream.{layer}.deconv", filters, filters, *kernel)
    conv("u_init.conv", filters, 4, 2, 3)
    conv("ul_init.0.conv", filters, 4, 1, 3)
    conv("ul_init.1.conv", filters, 4, 2, 1)
    conv("nin_out.lin_a", 10 * mixtures, filters)
    for part in ("weight_g", "bias"):
        state[f"nin_out.lin_a.{part}"] /= 8  # small, because the formula requires wide logistics
    state["embedding.weight"] = draw(classes, 3 * size[0] * size[1]) / 4
    return state


class CourseNetwork:
    """The course's forward pass: `u` is the stream of the rows above, `ul` that of the pixels above and to the left."""

    def __init__(self, state):
        self.state = {name: tensor.double() for name, tensor in state.items()}
        self.num_blocks = sum(f"up_layers.0.u_stream.{index}.conv_out.conv.bias" in state for index in range(9))

    def weight(self, name):
        g, v, bias = (self.state[f"{name}.{part}"] for part in ("weight_g", "weight_v", "bias"))
        length = v.flatten(1).norm(dim=1).view(-1, *(1,) * (v.ndim - 1))
        return g * v / length, bias

    def down(self, name, h, stride=1):
        weight, bias = self.weight(name)
        rows, columns = weight.shape[2:]
        return F.conv2d(F.pad(h, (columns // 2, columns // 2, rows - 1, 0)), weight, bias, stride)

    def down_right(self, name, h, stride=1):
        weight, bias = self.weight(name)
        rows, columns = weight.shape[2:]
        return F.conv2d(F.pad(h, (columns - 1, 0, rows - 1, 0)), weight, bias, stride)

    def upsample(self, name, h, left):
        weight, bias = self.weight(name)
        larger = F.conv_transpose2d(h, weight, bias, stride=2, output_padding=1)
        return larger[:, :, : 2 * h.shape[2], left : left + 2 * h.shape[3]]

    def nin(self, name, h):
        return F.linear(h.movedim(1, -1), *self.weight(name)).movedim(-1, 1)

    def block(self, name, conv, h, skip=None):
        def both(h):
            return torch.cat((F.elu(h), F.elu(-h)), dim=1)

        inner = conv(f"{name}.conv_input.conv", both(h))
        if skip is not None:
            inner = inner + self.nin(f"{name}.nin_skip.lin_a", both(skip))
        values, gates = conv(f"{name}.conv_out.conv", both(inner)).chunk(2, dim=1)
        return h + values * torch.sigmoid(gates)

    def __call__(self, x, label):
        """Parameters, (B, 10K, H, W), of x in [-1, 1], float64 (B, 3, H, W), under the labels (B,)."""
        x = x + self.state["embedding.weight"][label].view_as(x)
        x = torch.cat((x, torch.ones_like(x[:, :1])), dim=1)
        u = F.pad(self.down("u_init.conv", x), (0, 0, 1, 0))[:, :, :-1]
        above = F.pad(self.down("ul_init.0.conv", x), (0, 0, 1, 0))[:, :, :-1]
        ul = above + F.pad(self.down_right("ul_init.1.conv", x), (1, 0))[:, :, :, :-1]
        us, uls = [u], [ul]
        for layer in range(3):
            for index in range(self.num_blocks):
                us.append(self.block(f"up_layers.{layer}.u_stream.{index}", self.down, us[-1]))
                uls.append(self.block(f"up_layers.{layer}.ul_stream.{index}", self.down_right, uls[-1], us[-1]))
            if layer < 2:
                us.append(self.down(f"downsize_u_stream.{layer}.conv", us[-1], stride=2))
                uls.append(self.down_right(f"downsize_ul_stream.{layer}.conv", uls[-1], stride=2))
        u, ul = us.pop(), uls.pop()
        for layer in range(3):
            for index in range(self.num_blocks + (layer > 0)):
                u = self.block(f"down_layers.{layer}.u_stream.{index}", self.down, u, us.pop())
                skip = torch.cat((u, uls.pop()), dim=1)
                ul = self.block(f"down_layers.{layer}.ul_stream.{index}", self.down_right, ul, skip)
            if layer < 2:
                u = self.upsample(f"upsize_u_stream.{layer}.deconv", u, left=1)
                ul = self.upsample(f"upsize_ul_stream.{layer}.deconv", ul, left=0)
        assert not us
        return self.nin("nin_out.lin_a", F.elu(ul))


def course_nll(state, pixels):
    """Nats per image under each class, (B, Y), of uint8 (B, 3, H, W), by the authors' formula."""
    x = torch.from_numpy(pixels).double() * (2 / 255) - 1
    network, last = CourseNetwork(state), [0, 2, 3, 1]  # channels last, as in the formula
    params = [network(x, torch.full((len(x),), label)) for label in range(len(state["embedding.weight"]))]
    return np.stack([original_nll(x.permute(last).numpy(), one.permute(last).numpy()) for one in params], axis=1)


def main():
    state = course_state(NUM_BLOCKS)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, *SIZE), dtype=np.uint8)
    path = Path(__file__).with_name("course_network.pth")
    torch.save(state, path)
    np.savez_compressed(path.with_suffix(".npz"), pixels=pixels, nll=course_nll(state, pixels))


if __name__ == "__main__":
    main()
