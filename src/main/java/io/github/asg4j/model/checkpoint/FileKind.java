// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import io.github.asg4j.BadBundleException;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.Locale;

/** Recognition of files that are taken for safetensors files and are something else. */
final class FileKind {
    private static final int PEEK_BYTES = 64;

    private FileKind() {}

    /**
     * Looks at the first bytes of a file.
     *
     * @throws BadBundleException if they are those of another kind of file, saying what to do
     */
    static void refuseOthers(String file, MemorySegment bytes) {
        String other = other(bytes);
        if (other != null) {
            throw new BadBundleException(file + " " + other);
        }
    }

    private static @Nullable String other(MemorySegment bytes) {
        if (bytes.byteSize() == 0) {
            return "is empty: download it again";
        }
        byte[] start =
                bytes.asSlice(0, Math.min(PEEK_BYTES, bytes.byteSize()))
                        .toArray(ValueLayout.JAVA_BYTE);
        String text = new String(start, StandardCharsets.ISO_8859_1);
        String lower = text.stripLeading().toLowerCase(Locale.ROOT);
        if (text.startsWith("version https://git-lfs")) {
            return "is a Git LFS pointer, not the file itself: run git lfs pull, or download it"
                    + " from the page of the model";
        }
        if (lower.startsWith("<!doctype") || lower.startsWith("<html")) {
            return "is a web page, not a model: the download needs a login or another link";
        }
        if (text.startsWith("PK\3\4")) {
            return "is a PyTorch pickle (.ckpt, .pt, .bin) or another zip archive. Pickles can run"
                    + " code when they are loaded and are not read; convert it: python -c"
                    + " \"import torch, safetensors.torch as s; d = torch.load('IN.ckpt',"
                    + " weights_only=True); s.save_file(d.get('state_dict', d),"
                    + " 'OUT.safetensors')\"";
        }
        if (start.length > 1 && start[0] == (byte) 0x80 && start[1] >= 2 && start[1] <= 5) {
            return "is a Python pickle. Pickles can run code when they are loaded and are not read;"
                    + " convert it to .safetensors with PyTorch";
        }
        if (text.startsWith("GGUF")) {
            return "is a GGUF file, which is not supported: use the .safetensors file of the model";
        }
        if (lower.startsWith("{")) {
            return "is JSON text, not a safetensors file";
        }
        return null;
    }
}
