# SPDX-License-Identifier: Apache-2.0
"""A model bundle run by ONNX Runtime: text, denoiser, VAE."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx.shape_inference
import onnx.utils
import onnxruntime
from tokenizers import Tokenizer

from .bundle import FEATURE


@dataclass
class Prompt:
    ids: np.ndarray  # [T] int64
    real: list  # positions of tokens that are neither start, end nor padding
    hidden: np.ndarray  # [T, D] float32
    pooled: np.ndarray  # [P] float32


class Bundle:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.manifest = json.loads((self.folder / "manifest.json").read_text())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1

        def session(file):
            model = file if isinstance(file, bytes) else str(self.folder / file)
            return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.encoder = self.manifest["text_encoders"][0]
        self.tokenizer = Tokenizer.from_file(str(self.folder / self.encoder["tokenizer"]))
        self.text = session(self.encoder["file"])
        self.denoiser = session(self.manifest["denoiser"]["file"])
        self.whole, self.shallow = self.cut(session)
        self.decoder = session(self.manifest["vae"]["decoder"])
        self.picture_encoder = session(self.manifest["vae"]["encoder"])
        dilated = self.manifest["denoiser"]["dilated_file"]
        self.dilated = session(dilated) if dilated else None
        self.dilation_groups = self.manifest["denoiser"].get("dilation_groups", [])
        self.upscalers = {u["scale"]: session(u["file"]) for u in self.manifest.get("upscalers", [])}
        latent = self.manifest["latent"]
        self.native, self.factor, self.channels = latent["native_size"], latent["vae_factor"], latent["channels"]
        self.multiple, self.scaling, self.shift = latent["unet_multiple"], latent["scaling"], latent["shift"]
        self.blocks = self.manifest["denoiser"]["masks"]

    def cut(self, session):
        """The denoiser that gives its features too, and what goes on from them; of a bundle that names them."""
        model = onnx.load(self.folder / self.manifest["denoiser"]["file"])
        if not any(FEATURE in node.output for node in model.graph.node):
            return None, None
        extractor = onnx.utils.Extractor(onnx.shape_inference.infer_shapes(model))
        inputs, outputs = [i.name for i in model.graph.input], [o.name for o in model.graph.output]
        parts = (inputs, [*outputs, FEATURE]), (["sample", "timestep", FEATURE], ["noise"])
        return [session(extractor.extract_model(*part).SerializeToString()) for part in parts]

    def encode(self, text):
        e = self.tokenizer.encode(text)
        ids = np.array(e.ids, np.int64)
        real = [i for i, special in enumerate(e.special_tokens_mask) if not special]
        hidden, pooled = self.text.run([self.encoder["hidden"], self.encoder["pooled"]], {"input_ids": ids[None]})
        return Prompt(ids, real, hidden[0], pooled[0])

    def negative(self, text):
        p = self.encode(text)
        if text == "" and self.manifest["conditioning"]["empty_negative_is_zero"]:
            p.hidden, p.pooled = np.zeros_like(p.hidden), np.zeros_like(p.pooled)
        return p

    def decode(self, latents, real=np.float64):
        """[C, H, W] -> float32 [3, 8H, 8W], about -1..1."""
        x = latents * real(1.0 / self.scaling) + real(self.shift)
        return self.decoder.run(["image"], {"latents": x[None].astype(np.float32)})[0][0]

    def encode_picture(self, image, real=np.float64):
        """[3, 8h, 8w], -1..1 -> latents [C, h, w] as the denoiser knows them."""
        v = self.picture_encoder.run(["latents"], {"image": image[None].astype(np.float32)})[0][0]
        return (v.astype(real) - real(self.shift)) * real(self.scaling)

    def upscale(self, image, scale):
        """[3, h, w], 0..1 -> [3, h * scale, w * scale]."""
        v = self.upscalers[scale].run(["upscaled"], {"image": image[None].astype(np.float32)})[0][0]
        return v.astype(image.dtype)


class Denoiser:
    """One prompt's view of the denoiser: rows [0, v) unconditional, rows [v, 2v) conditional."""

    def __init__(self, bundle, prompt, negative, mask_tokens=()):
        self.bundle, self.prompt, self.negative = bundle, prompt, negative
        self.weights = np.zeros(len(prompt.ids), np.float32)
        for index, position in enumerate(prompt.real):
            if not mask_tokens or index in mask_tokens:
                self.weights[position] = 1.0
        self.outputs = ["noise"] + [m["output"] for m in bundle.blocks]

    def __call__(self, views, timestep, time_ids, guided, dilation=None, prompts=None, cache=None, place=None):
        """views: [v, C, h, w], already scaled; prompts: one per view, or that of all; dilation: one factor per group,
        for the dilated graph; cache: of features, and place: the windows (None: one view) and their canvas's extents.

        Returns (m_u or None, m_c, one map [v, hb, wb] per block).
        """
        v = len(views)
        zeros = np.zeros_like(self.weights)
        rows = [(prompt, self.weights) for prompt in prompts or [self.prompt] * v]
        sample = views
        if guided:
            rows = [(self.negative, zeros)] * v + rows
            sample = np.concatenate([views, views])
            time_ids = np.concatenate([time_ids, time_ids])
        inputs = {
            "sample": sample.astype(np.float32),
            "timestep": np.full(len(rows), timestep, np.float32),
            "encoder_hidden_states": np.stack([p.hidden for p, _ in rows]),
            "text_embeds": np.stack([p.pooled for p, _ in rows]),
            "time_ids": time_ids.astype(np.float32),
            "token_weights": np.stack([w for _, w in rows]),
        }
        network = self.bundle.denoiser
        if dilation is not None:
            network, inputs["dilation"] = self.bundle.dilated, dilation
        kinds = "uc" if guided else "c"
        outputs = self.outputs
        if cache is not None and cache.whole:
            network, outputs = self.bundle.whole, [*self.outputs, FEATURE]
        elif cache is not None:
            features = np.concatenate([cache.cut(kind, place[0]) for kind in kinds])
            network, outputs = self.bundle.shallow, ["noise"]
            inputs = {"sample": inputs["sample"], "timestep": inputs["timestep"], FEATURE: features.astype(np.float32)}
        out = network.run(outputs, inputs)
        if cache is not None and cache.whole:
            for kind, features in zip(kinds, np.split(out.pop().astype(views.dtype), len(kinds))):
                cache.keep(kind, features, *place)
        out = [o.astype(views.dtype) for o in out]
        if not guided:
            return None, out[0], out[1:]
        return out[0][:v], out[0][v:], [m[v:] for m in out[1:]]
