# SPDX-License-Identifier: Apache-2.0
"""Four analytic model bundles that take milliseconds: `tiny`, `tiny-stepless`, `tiny-methods` and `tiny-skip`.

They have the interface of real checkpoints (text encoder, denoiser with mask outputs, VAE; `tiny-methods` also a denoiser
with run-time dilation and an upscaler, `tiny-skip` a skip connection), are written node by node with onnx.helper and need no training. Weights are
drawn from our own Philox, so the files are the same bytes wherever they are generated.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from . import philox

NATIVE = 8
CHANNELS = 4
FACTOR = 8
TOKENS, HIDDEN, POOLED = 16, 8, 6
SCALING, SHIFT = 1.6, 0.05
BOS, EOS = "<|startoftext|>", "<|endoftext|>"
MERGES = ["r e", "re d</w>", "b a", "l l</w>", "ba ll</w>", "o n</w>", "g r", "a s", "as s</w>", "gr ass</w>",
          "b l", "u e</w>", "bl ue</w>", "e n</w>", "gr e", "gre en</w>", "a n</w>", "t h", "th e</w>"]


def drawn(seed, *shape, scale=1.0):
    """Seeded weights: scale * N(0,1), rounded to multiples of 2^-12 to look and compress well."""
    z = philox.normals(seed, np.arange(int(np.prod(shape)))).astype(np.float64)
    return (np.round(z * scale * 4096) / 4096).astype(np.float32).reshape(shape)


class Graph:
    """The few lines that make onnx.helper readable: g.op("Add", a, b) returns the name of the result."""

    def __init__(self):
        self.nodes, self.constants, self.count = [], [], 0

    def const(self, value, dtype=np.float32):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def ints(self, *values):
        return self.const(values, np.int64)

    def op(self, kind, *inputs, out=None, **attributes):
        inputs = [self.const(i) if isinstance(i, (float, np.ndarray)) else i for i in inputs]
        name = out or f"{kind.lower()}_{self.count}"
        self.count += 1
        self.nodes.append(helper.make_node(kind, inputs, [name], name=f"n{self.count}", **attributes))
        return name

    def dim(self, x, axis):
        """One extent of x as an int64 tensor [1]."""
        return self.op("Shape", x, start=axis, end=axis + 1)

    def save(self, path, inputs, outputs):
        def info(name, kind, shape):
            return helper.make_tensor_value_info(name, kind, shape)
        graph = helper.make_graph(self.nodes, path.stem, [info(*i) for i in inputs], [info(*o) for o in outputs],
                                  self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="asg4j reference")
        model.ir_version = 8
        onnx.checker.check_model(model, full_check=True)
        path.write_bytes(model.SerializeToString(deterministic=True))


F32, I64 = TensorProto.FLOAT, TensorProto.INT64


def tokenizer(path):
    """CLIP's byte-level BPE with 19 merges: 256 bytes, 256 bytes that end a word, merges, two marks."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = alphabet + [c + "</w>" for c in alphabet] + [m.replace(" ", "") for m in MERGES] + [BOS, EOS]
    vocab = {t: i for i, t in enumerate(tokens)}
    t = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(m.split(" ")) for m in MERGES], unk_token=EOS,
                             continuing_subword_prefix="", end_of_word_suffix="</w>", fuse_unk=False))
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "),
                                         normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"),
                             behavior="removed", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([BOS, EOS])
    t.post_processor = processors.RobertaProcessing((EOS, vocab[EOS]), (BOS, vocab[BOS]),
                                                    trim_offsets=False, add_prefix_space=False)
    t.enable_truncation(TOKENS)
    t.enable_padding(length=TOKENS, pad_id=vocab[EOS], pad_token=EOS)
    path.write_text(t.to_str(pretty=True) + "\n", encoding="utf-8")
    return vocab


def text_encoder(path, vocab):
    """Embedding + position, one head of causal attention, LayerNorm; pooled = projection at the first EOS."""
    g = Graph()
    ids = "input_ids"
    length = g.dim(ids, 1)
    position = g.op("Slice", drawn(101, TOKENS, HIDDEN, scale=0.5), g.ints(0), length, g.ints(0))
    x = g.op("Add", g.op("Gather", drawn(102, len(vocab), HIDDEN), ids), position)
    q = g.op("MatMul", x, drawn(103, HIDDEN, HIDDEN, scale=0.4))
    k = g.op("MatMul", x, drawn(104, HIDDEN, HIDDEN, scale=0.4))
    v = g.op("MatMul", x, drawn(105, HIDDEN, HIDDEN, scale=0.4))
    causal = np.triu(np.full((TOKENS, TOKENS), -1e4, np.float32), 1)
    causal = g.op("Slice", causal, g.ints(0, 0), g.op("Concat", length, length, axis=0), g.ints(0, 1))
    a = g.op("Softmax", g.op("Add", g.op("MatMul", q, g.op("Transpose", k, perm=[0, 2, 1])), causal), axis=-1)
    x = g.op("Add", x, g.op("MatMul", a, v))
    g.op("LayerNormalization", x, np.ones(HIDDEN, np.float32), np.zeros(HIDDEN, np.float32),
         out="last_hidden_state", axis=-1, epsilon=1e-5)
    is_eos = g.op("Cast", g.op("Equal", ids, g.const(vocab[EOS], np.int64)), to=I64)
    first = g.op("ArgMax", is_eos, axis=1, keepdims=1)  # [B, 1], the first of several
    at = g.op("GatherND", "last_hidden_state", first, batch_dims=1)  # [B, HIDDEN]
    g.op("MatMul", at, drawn(106, HIDDEN, POOLED, scale=0.35), out="text_embeds")
    g.save(path, [(ids, I64, ["B", "T"])],
           [("last_hidden_state", F32, ["B", "T", HIDDEN]), ("text_embeds", F32, ["B", POOLED])])


BINOMIAL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256.0
EDGE_X = np.outer([0, 1, 2, 1, 0], [-1, -2, 0, 2, 1]) / 16.0

DENOISER_INPUTS = [
    ("sample", F32, ["B", CHANNELS, "h", "w"]), ("timestep", F32, ["B"]),
    ("encoder_hidden_states", F32, ["B", "T", HIDDEN]), ("text_embeds", F32, ["B", POOLED]),
    ("time_ids", F32, ["B", 6]), ("token_weights", F32, ["B", "T"])]
DENOISER_OUTPUTS = [("noise", F32, ["B", CHANNELS, "h", "w"]), ("mask_up0", F32, ["B", "h0", "w0"]),
                    ("mask_up1", F32, ["B", "h", "w"])]


def text_vector(g):
    """[B, 4, 1, 1] in (-1, 1): all tokens, in a plain and in a weighted sum, and the pooled embedding."""
    mean = g.op("ReduceMean", "encoder_hidden_states", axes=[1], keepdims=0)
    ramp = g.op("Slice", (0.3 * drawn(201, TOKENS, 1)).astype(np.float32), g.ints(0),
                g.dim("encoder_hidden_states", 1), g.ints(0))
    weighted = g.op("ReduceSum", g.op("Mul", "encoder_hidden_states", ramp), g.ints(1), keepdims=0)
    t = g.op("Add", g.op("MatMul", mean, drawn(202, HIDDEN, CHANNELS, scale=0.8)),
             g.op("MatMul", weighted, drawn(203, HIDDEN, CHANNELS, scale=0.4)))
    t = g.op("Tanh", g.op("Add", t, g.op("MatMul", "text_embeds", drawn(204, POOLED, CHANNELS, scale=0.4))))
    return g.op("Unsqueeze", t, g.ints(2, 3))


def picture_coordinates(g, axis, offset_index, size_index):
    """Where a cell stands in the picture, 0..1, by time_ids: (crop + 8 (i + 0.5)) / size; [B, 1, h, 1] or [B, 1, 1, w]."""
    n = g.op("Squeeze", g.dim("sample", axis), g.ints(0))
    i = g.op("Cast", g.op("Range", g.const(0, np.int64), n, g.const(1, np.int64)), to=F32)
    i = g.op("Mul", g.op("Add", i, 0.5), float(FACTOR))
    i = g.op("Unsqueeze", i, g.ints(0, 1, 3 if axis == 2 else 2))

    def of(index):
        return g.op("Unsqueeze", g.op("Slice", "time_ids", g.ints(index), g.ints(index + 1), g.ints(1)), g.ints(2, 3))
    return g.op("Div", g.op("Add", i, of(offset_index)), of(size_index))


def attention_map(g, features, seed, out):
    """mean over 2 heads of sum_j softmax_j(q k_j) * token_weights_j; features: [B, 6, hb, wb]."""
    heads, width = 2, 3
    q = g.op("Reshape", g.op("Conv", features, drawn(seed, heads * width, 6, 1, 1, scale=0.9)),
             g.op("Concat", g.dim("sample", 0), g.ints(heads, width, -1), axis=0))
    q = g.op("Transpose", q, perm=[0, 1, 3, 2])  # [B, heads, cells, width]
    k = g.op("MatMul", "encoder_hidden_states", drawn(seed + 1, HIDDEN, heads * width, scale=0.9))
    k = g.op("Reshape", k, g.op("Concat", g.op("Shape", "encoder_hidden_states", start=0, end=2),
                                g.ints(heads, width), axis=0))
    k = g.op("Transpose", k, perm=[0, 2, 3, 1])  # [B, heads, width, T]
    p = g.op("Softmax", g.op("MatMul", q, k), axis=-1)
    p = g.op("Mul", p, g.op("Unsqueeze", "token_weights", g.ints(1, 2)))
    p = g.op("ReduceMean", g.op("ReduceSum", p, g.ints(3), keepdims=0), axes=[1], keepdims=0)  # [B, cells]
    g.op("Reshape", p, g.op("Concat", g.dim("sample", 0), g.op("Shape", features, start=2, end=4), axis=0), out=out)


def masks(g, content, place):
    """Both maps, from 4 channels of content and 2 of place; mask_up0 at ceil(h/2) x ceil(w/2)."""
    features = g.op("Concat", content, place, axis=1)
    half = np.zeros((6, 6, 3, 3), np.float32)
    for c in range(6):
        half[c, c] = np.outer([1, 2, 1], [1, 2, 1]) / 16.0
    attention_map(g, g.op("Conv", features, half, strides=[2, 2], pads=[1, 1, 1, 1]), 301, "mask_up0")
    attention_map(g, features, 311, "mask_up1")


def local_kernel():
    """[4, 4, 5, 5]: mostly the cell itself, some of its neighbourhood, edges across channels."""
    kernel = drawn(205, CHANNELS, CHANNELS, 1, 1, scale=0.12) * EDGE_X.astype(np.float32)
    for c in range(CHANNELS):
        kernel[c, c] += (0.3 * BINOMIAL).astype(np.float32)
        kernel[c, c, 2, 2] += np.float32(0.8)
    return kernel


def one_convolution(g):
    return g.op("Conv", "sample", local_kernel(), pads=[2, 2, 2, 2])


def two_convolutions(g, convolution):
    """One of each dilation group; convolution(g, x, kernel, group) keeps the size."""
    middle = convolution(g, "sample", local_kernel(), 0)
    detail = convolution(g, g.op("Tanh", middle), drawn(209, CHANNELS, CHANNELS, 3, 3, scale=0.06), 1)
    return g.op("Add", middle, detail)


def plain_convolution(g, x, kernel, group):
    return g.op("Conv", x, kernel, pads=[kernel.shape[-1] // 2] * 4)


def dilated_convolution(g, x, kernel, group):
    """SPEC.md section 9, scalecrafter: the factor is entry `group` of the input `dilation`.

    A convolution with dilation d is a plain one on each of the d x d sub-grids (methods.md section 5.5). With factor 1
    every step but the convolution hands its input on untouched.
    """
    factor = g.op("Slice", "dilation", g.ints(group), g.ints(group + 1))  # [1]
    whole = g.op("Ceil", factor)
    d = g.op("Cast", whole, to=I64)
    lead, size = g.op("Shape", x, start=0, end=2), g.op("Shape", x, start=2, end=4)

    def resize(x, size):
        return g.op("Resize", x, "", "", g.op("Concat", lead, size, axis=0), mode="linear",
                    coordinate_transformation_mode="half_pixel")
    ratio = g.op("Div", whole, factor)
    inner = g.op("Cast", g.op("Round", g.op("Mul", g.op("Cast", size, to=F32), ratio)), to=I64)
    x = resize(x, inner)

    # zeros below and to the right, up to a multiple of d
    grid = g.op("Div", g.op("Add", inner, g.op("Sub", d, g.ints(1))), d)  # cells of a sub-grid, [2]
    padded = g.op("Mul", grid, d)
    x = g.op("Pad", x, g.op("Concat", g.ints(0, 0, 0, 0, 0, 0), g.op("Sub", padded, inner), axis=0))

    batch, channels = g.dim(x, 0), g.ints(CHANNELS)
    rows, columns = g.dim(x, 2), g.dim(x, 3)
    grid_y, grid_x = g.op("Div", rows, d), g.op("Div", columns, d)
    x = g.op("Reshape", x, g.op("Concat", batch, channels, grid_y, d, grid_x, d, axis=0))
    x = g.op("Transpose", x, perm=[0, 3, 5, 1, 2, 4])  # [B, d, d, C, grid_y, grid_x]
    x = g.op("Reshape", x, g.op("Concat", g.ints(-1), channels, grid_y, grid_x, axis=0))
    x = plain_convolution(g, x, kernel, group)
    x = g.op("Reshape", x, g.op("Concat", batch, d, d, channels, grid_y, grid_x, axis=0))
    x = g.op("Transpose", x, perm=[0, 3, 4, 1, 5, 2])
    x = g.op("Reshape", x, g.op("Concat", batch, channels, rows, columns, axis=0))
    x = g.op("Slice", x, g.ints(0, 0), inner, g.ints(2, 3))
    return resize(x, size)


def denoiser(path, content=one_convolution, inputs=DENOISER_INPUTS, skip=False):
    """A noise estimate near the sample itself, so that trajectories contract, bent by everything a UNet listens to.

    skip: it is what comes from below, and is joined with a first convolution, as in a UNet's last block.
    """
    g = Graph()
    first = g.op("Conv", "sample", drawn(210, CHANNELS, CHANNELS, 3, 3, scale=0.15), pads=[1, 1, 1, 1]) if skip else None
    local = content(g)
    text = text_vector(g)

    y = picture_coordinates(g, 2, 2, 0)
    x = picture_coordinates(g, 3, 3, 1)
    waves = g.op("Add", g.op("Sin", g.op("Mul", y, 4.0)), g.op("Cos", g.op("Mul", x, 5.0)))
    other = g.op("Sin", g.op("Sub", g.op("Mul", x, 7.0), g.op("Mul", y, 3.0)))
    place = g.op("Concat", waves, other, axis=1)  # [B, 2, h, w]
    background = g.op("Conv", place, drawn(206, CHANNELS, 2, 1, 1, scale=0.15))

    angle = g.op("Mul", g.op("Reshape", "timestep", g.ints(-1, 1)), np.array([[0.002, 0.005, 0.011]], np.float32))
    wave = g.op("Concat", g.op("Sin", angle), g.op("Cos", angle), axis=1)
    time = g.op("Unsqueeze", g.op("MatMul", wave, drawn(207, 6, CHANNELS, scale=0.1)), g.ints(2, 3))

    sizes = g.op("MatMul", g.op("Mul", "time_ids", 0.01), drawn(208, 6, CHANNELS, scale=0.3))
    sizes = g.op("Unsqueeze", g.op("Mul", g.op("Sin", sizes), 0.1), g.ints(2, 3))

    sum_ = g.op("Add", g.op("Add", g.op("Add", local, background), time), sizes)
    bounded = g.op("Mul", g.op("Tanh", g.op("Mul", sum_, 1 / 3)), 3.0)
    # the prompt: a shift that varies over the picture, and a little gain
    shift = g.op("Mul", g.op("Mul", text, g.op("Add", g.op("Mul", waves, 0.25), 1.0)), 0.12)
    gain = g.op("Add", g.op("Mul", text, 0.03), 1.0)
    g.op("Add", g.op("Mul", bounded, gain), shift, out=FEATURE if skip else "noise")
    if skip:
        kernel = drawn(211, CHANNELS, 2 * CHANNELS, 3, 3, scale=0.06)
        for c in range(CHANNELS):
            kernel[c, c, 1, 1] += np.float32(0.8)
        joined = g.op("Concat", FEATURE, first, axis=1)
        g.op("Add", g.op("Conv", joined, kernel, pads=[1, 1, 1, 1]), g.op("Mul", time, 0.2), out="noise")
    masks(g, g.op("Tanh", local), place)
    g.save(path, inputs, DENOISER_OUTPUTS)


def stepless_denoiser(path):
    """The estimate of a cell is the same bits at every step, and differs between patches.

    It depends on the sample only through the sign of channel 3. The estimate for channel 3 is 0, so
    a scheduler scales that channel by a positive factor at most and its sign never changes (without
    pixel interaction, eta 0, and before the stage switch).
    """
    g = Graph()
    tag = g.op("Sign", g.op("Slice", "sample", g.ints(3), g.ints(4), g.ints(1)))  # [B, 1, h, w]
    place = g.op("Concat", g.op("Mul", tag, 0.5), tag, axis=1)
    by_channel = np.array([0.8, -0.6, 0.4, 0.0], np.float32).reshape(CHANNELS, 1, 1, 1)
    text = g.op("Mul", text_vector(g), np.array([0.1, 0.2, -0.1, 0.0], np.float32).reshape(1, CHANNELS, 1, 1))
    g.op("Add", g.op("Conv", tag, by_channel), text, out="noise")
    content = g.op("Conv", tag, np.array([0.5, -0.3, 0.2, 0.7], np.float32).reshape(CHANNELS, 1, 1, 1))
    masks(g, content, place)
    # timestep and time_ids are inputs like those of any denoiser, and have no effect
    g.save(path, DENOISER_INPUTS, DENOISER_OUTPUTS)


def vae_decoder(path):
    """Local: a cell of the latent reaches pixels at most 3 cells away."""
    g = Graph()
    x = g.op("Tanh", g.op("Conv", "latents", drawn(401, 8, CHANNELS, 3, 3, scale=0.3), pads=[1, 1, 1, 1]))
    x = g.op("Resize", x, "", np.array([1, 1, FACTOR, FACTOR], np.float32), mode="linear",
             coordinate_transformation_mode="half_pixel")
    x = g.op("Conv", x, drawn(402, 3, 8, 3, 3, scale=0.15), pads=[1, 1, 1, 1])
    g.op("Tanh", x, out="image")
    g.save(path, [("latents", F32, ["B", CHANNELS, "h", "w"])], [("image", F32, ["B", 3, "H", "W"])])


def vae_encoder(path):
    g = Graph()
    x = g.op("AveragePool", "image", kernel_shape=[FACTOR, FACTOR], strides=[FACTOR, FACTOR])
    g.op("Conv", x, drawn(403, CHANNELS, 3, 1, 1, scale=0.8), out="latents")
    g.save(path, [("image", F32, ["B", 3, "H", "W"])], [("latents", F32, ["B", CHANNELS, "h", "w"])])


def upscaler(path):
    """Twice the size: the nearest pixel and a correction that sees 2 pixels around; leaves [0, 1] here and there."""
    g = Graph()
    scales = np.array([1, 1, 2, 2], np.float32)
    nearest = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    x = g.op("Tanh", g.op("Conv", "image", drawn(411, 8, 3, 3, 3, scale=0.4), pads=[1, 1, 1, 1]))
    x = g.op("Conv", g.op("Resize", x, "", scales, **nearest), drawn(412, 3, 8, 3, 3, scale=0.05), pads=[1, 1, 1, 1])
    g.op("Add", x, g.op("Resize", "image", "", scales, **nearest), out="upscaled")
    g.save(path, [("image", F32, ["B", 3, "h", "w"])], [("upscaled", F32, ["B", 3, "H", "W"])])


#: of tiny-skip, what its last join reads from below
FEATURE = "feature_of_below"
DILATION_GROUPS = ["mid_block", "up_blocks.0"]


def manifest(folder, name):
    files = {}
    for file in sorted(folder.iterdir()):
        if file.name != "manifest.json":
            data = file.read_bytes()
            files[file.name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    content = {
        "format_version": 1, "name": name, "licence": "Apache-2.0", "made_by": "asg4j reference",
        "latent": {"channels": CHANNELS, "native_size": [NATIVE, NATIVE], "vae_factor": FACTOR, "scaling": SCALING,
                   "shift": SHIFT, "unet_multiple": 1},
        "text_encoders": [{"file": "text_encoder.onnx", "tokenizer": "tokenizer.json", "length": TOKENS,
                           "hidden": "last_hidden_state", "pooled": "text_embeds"}],
        "denoiser": {"file": "denoiser.onnx", "dilated_file": None, "prediction": "epsilon", "precision": "fp32",
                     "inputs": [i[0] for i in DENOISER_INPUTS],
                     "masks": [{"output": "mask_up0", "block": "up_blocks.0", "scale": 2},
                               {"output": "mask_up1", "block": "up_blocks.1", "scale": 1}],
                     "width": 1, "heads": 1},
        "vae": {"decoder": "vae_decoder.onnx", "encoder": "vae_encoder.onnx", "precision": "fp32"},
        "scheduler": {"type": "euler", "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
                      "train_steps": 1000, "spacing": "leading", "steps_offset": 1},
        "conditioning": {"time_ids": True, "pooled": True, "empty_negative_is_zero": True},
        "defaults": {"steps": 8, "guidance_scale": 5.0},
        "files": files,
    }
    if name == "tiny-methods":
        content["denoiser"] |= {"dilated_file": "denoiser_dilated.onnx", "dilation_groups": DILATION_GROUPS}
        content["upscalers"] = [{"file": "upscaler_x2.onnx", "scale": 2, "overlap": 4}]
    if name == "tiny-skip":
        content["denoiser"]["width"] = CHANNELS
    (folder / "manifest.json").write_text(json.dumps(content, indent=2) + "\n")


NAMES = ("tiny", "tiny-stepless", "tiny-methods", "tiny-skip")


def write(folder, name="tiny"):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    vocab = tokenizer(folder / "tokenizer.json")
    text_encoder(folder / "text_encoder.onnx", vocab)
    if name == "tiny":
        denoiser(folder / "denoiser.onnx")
    elif name == "tiny-stepless":
        stepless_denoiser(folder / "denoiser.onnx")
    elif name == "tiny-skip":
        denoiser(folder / "denoiser.onnx", skip=True)
    else:
        denoiser(folder / "denoiser.onnx", lambda g: two_convolutions(g, plain_convolution))
        denoiser(folder / "denoiser_dilated.onnx", lambda g: two_convolutions(g, dilated_convolution),
                 DENOISER_INPUTS + [("dilation", F32, [len(DILATION_GROUPS)])])
        upscaler(folder / "upscaler_x2.onnx")
    vae_decoder(folder / "vae_decoder.onnx")
    vae_encoder(folder / "vae_encoder.onnx")
    manifest(folder, name)
