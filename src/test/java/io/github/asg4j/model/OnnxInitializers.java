// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Reads the initializers of an ONNX file, from beside it too, independently of the engine's readers. */
final class OnnxInitializers {
    private static final int FLOAT = 1;
    private static final int HALF = 10;

    private OnnxInitializers() {}

    /**
     * A float or half initializer.
     *
     * @param file in which its elements lie
     */
    record Initializer(List<Long> shape, float[] values, String file) {
        /** Its rows as columns. */
        float[] transposed() {
            int rows = Math.toIntExact(shape.get(0));
            int columns = Math.toIntExact(shape.get(1));
            float[] other = new float[values.length];
            for (int row = 0; row < rows; row++) {
                for (int column = 0; column < columns; column++) {
                    other[column * rows + row] = values[row * columns + column];
                }
            }
            return other;
        }
    }

    static Map<String, Initializer> of(Path model) {
        Map<String, Initializer> all = new LinkedHashMap<>();
        for (Field graph : fields(ByteBuffer.wrap(bytes(model)))) {
            if (graph.number == 7) {
                for (Field field : fields(graph.content)) {
                    if (field.number == 5) {
                        add(field.content, model, all);
                    }
                }
            }
        }
        return all;
    }

    private static void add(ByteBuffer tensor, Path model, Map<String, Initializer> all) {
        List<Long> shape = new ArrayList<>();
        Map<String, String> external = new HashMap<>();
        String name = "";
        long type = 0;
        ByteBuffer data = ByteBuffer.allocate(0);
        for (Field field : fields(tensor)) {
            switch (field.number) {
                case 1 -> {
                    if (field.content == null) {
                        shape.add(field.value);
                    } else {
                        while (field.content.hasRemaining()) {
                            shape.add(varint(field.content));
                        }
                    }
                }
                case 2 -> type = field.value;
                case 8 -> name = text(field.content);
                case 9 -> data = field.content;
                case 13 -> {
                    List<Field> entry = fields(field.content);
                    external.put(text(entry.get(0).content), text(entry.get(1).content));
                }
                default -> {}
            }
        }
        if (type != FLOAT && type != HALF) {
            return;
        }
        String file = external.getOrDefault("location", model.getFileName().toString());
        if (external.containsKey("location")) {
            byte[] whole = bytes(model.resolveSibling(file));
            data =
                    ByteBuffer.wrap(
                            whole,
                            Integer.parseInt(external.get("offset")),
                            Integer.parseInt(external.get("length")));
        }
        ByteBuffer elements = data.slice().order(ByteOrder.LITTLE_ENDIAN);
        float[] values = new float[elements.remaining() / (type == FLOAT ? 4 : 2)];
        for (int i = 0; i < values.length; i++) {
            values[i] =
                    type == FLOAT ? elements.getFloat() : Float.float16ToFloat(elements.getShort());
        }
        all.put(name, new Initializer(shape, values, file));
    }

    private record Field(int number, long value, ByteBuffer content) {}

    private static List<Field> fields(ByteBuffer message) {
        ByteBuffer in = message.slice();
        List<Field> fields = new ArrayList<>();
        while (in.hasRemaining()) {
            long tag = varint(in);
            int number = (int) (tag >>> 3);
            switch ((int) (tag & 7)) {
                case 0 -> fields.add(new Field(number, varint(in), null));
                case 2 -> {
                    int size = (int) varint(in);
                    fields.add(new Field(number, 0, in.slice(in.position(), size)));
                    in.position(in.position() + size);
                }
                case 5 -> in.position(in.position() + 4);
                default -> in.position(in.position() + 8);
            }
        }
        return fields;
    }

    private static long varint(ByteBuffer in) {
        long value = 0;
        for (int shift = 0; ; shift += 7) {
            byte part = in.get();
            value |= (part & 0x7FL) << shift;
            if (part >= 0) {
                return value;
            }
        }
    }

    private static String text(ByteBuffer content) {
        return StandardCharsets.UTF_8.decode(content.slice()).toString();
    }

    private static byte[] bytes(Path file) {
        try {
            return Files.readAllBytes(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
