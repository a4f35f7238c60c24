// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;

/** A bundle whose graphs are a few bytes of protobuf: whole for this package, of no use to run. */
final class FakeBundle {
    /** Every file but the manifest. */
    final Map<String, byte[]> files = new TreeMap<>();

    /** Recorded in the manifest beside {@link #files}, or instead of what they are. */
    final Map<String, byte[]> recordedInstead = new TreeMap<>();

    FakeBundle() throws IOException {
        for (String name : new String[] {"text_encoder", "vae_decoder", "vae_encoder"}) {
            files.put(name + ".onnx", model(tensor()));
        }
        files.put("denoiser.onnx", model(tensor("denoiser.weights")));
        files.put("denoiser.weights", new byte[] {1, 2, 3});
        files.put("tokenizer.json", ClipTokenizerTest.json().getBytes(StandardCharsets.UTF_8));
    }

    /** The manifest of design size, its files as recorded. */
    String manifest() {
        StringBuilder entries = new StringBuilder();
        Map<String, byte[]> recorded = new TreeMap<>(files);
        recorded.putAll(recordedInstead);
        recorded.forEach(
                (name, bytes) ->
                        entries.append(entries.isEmpty() ? "" : ",\n")
                                .append('"')
                                .append(name.replace("\\", "\\\\"))
                                .append("\": {\"bytes\": ")
                                .append(bytes.length)
                                .append(", \"sha256\": \"")
                                .append(sha256(bytes))
                                .append("\"}"));
        return """
        {"format_version": 1, "name": "demo", "licence": "Apache-2.0", "made_by": "test 1",
         "latent": {"channels": 4, "native_size": [16, 24], "vae_factor": 8, "scaling": 0.18215,
                    "shift": 0.0, "unet_multiple": 4},
         "text_encoders": [{"file": "text_encoder.onnx", "tokenizer": "tokenizer.json",
                            "length": 77, "hidden": "last_hidden_state", "pooled": "text_embeds"}],
         "denoiser": {"file": "denoiser.onnx", "dilated_file": null, "prediction": "epsilon",
                      "precision": "fp32",
                      "inputs": ["sample", "timestep", "encoder_hidden_states", "text_embeds",
                                 "time_ids", "token_weights"],
                      "masks": [{"output": "mask_up0", "block": "up_blocks.0", "scale": 4},
                                {"output": "mask_up1", "block": "up_blocks.1", "scale": 2}]},
         "vae": {"decoder": "vae_decoder.onnx", "encoder": "vae_encoder.onnx",
                 "precision": "fp32"},
         "scheduler": {"type": "euler", "beta_schedule": "scaled_linear", "beta_start": 0.00085,
                       "beta_end": 0.012, "train_steps": 1000, "spacing": "leading",
                       "steps_offset": 1},
         "conditioning": {"time_ids": true, "pooled": true, "empty_negative_is_zero": true},
         "defaults": {"steps": 50, "guidance_scale": 5.0},
         "files": {%s}}
        """
                .formatted(entries);
    }

    Path writeTo(Path folder) throws IOException {
        for (Map.Entry<String, byte[]> file : files.entrySet()) {
            Path path = folder.resolve(file.getKey());
            Files.createDirectories(path.getParent());
            Files.write(path, file.getValue());
        }
        Files.writeString(folder.resolve(Manifest.FILE_NAME), manifest());
        return folder;
    }

    static String sha256(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError(e);
        }
    }

    /** A length-delimited protobuf field. */
    static byte[] field(int number, byte[]... parts) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        int size = 0;
        for (byte[] part : parts) {
            size += part.length;
        }
        varint(out, ((long) number << 3) | 2);
        varint(out, size);
        for (byte[] part : parts) {
            out.writeBytes(part);
        }
        return out.toByteArray();
    }

    static byte[] text(int number, String value) {
        return field(number, value.getBytes(StandardCharsets.UTF_8));
    }

    static byte[] number(int number, long value) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        varint(out, (long) number << 3);
        varint(out, value);
        return out.toByteArray();
    }

    private static void varint(ByteArrayOutputStream out, long value) {
        long rest = value;
        while ((rest & ~0x7FL) != 0) {
            out.write((int) ((rest & 0x7F) | 0x80));
            rest >>>= 7;
        }
        out.write((int) rest);
    }

    /** A ModelProto of one graph with this initialiser. */
    static byte[] model(byte[] tensor) {
        return graphModel(field(5, tensor));
    }

    /** A ModelProto whose GraphProto has these fields. */
    static byte[] graphModel(byte[]... graph) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(number(1, 8)); // ir_version
        out.writeBytes(text(2, "test")); // producer_name
        out.writeBytes(field(7, graph));
        out.writeBytes(field(8, number(2, 17))); // opset_import
        return out.toByteArray();
    }

    /** A TensorProto with its data inside. */
    static byte[] tensor() {
        return concat(number(1, 2), number(2, 1), text(8, "w"), field(9, new byte[8]));
    }

    /** A TensorProto with its data at a location. */
    static byte[] tensor(String location) {
        return concat(
                number(1, 3),
                text(8, "w"),
                field(13, text(1, "location"), text(2, location)),
                field(13, text(1, "offset"), text(2, "0")),
                number(14, 1));
    }

    static byte[] concat(byte[]... parts) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            out.writeBytes(part);
        }
        return out.toByteArray();
    }
}
