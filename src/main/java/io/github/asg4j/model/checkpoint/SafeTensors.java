// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;

import io.github.asg4j.BadBundleException;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A safetensors file, mapped into memory: a header of at most 100 MB that names each tensor, its type,
 * shape and place, and the elements behind it. As strict as the format's own library: tensors neither
 * overlap nor leave gaps, and end with the file.
 *
 * <p>Tensors can be read by any number of threads until {@link #close()}, which must wait for them. A
 * file that is shortened by another process while it is open makes reads fail.
 */
public final class SafeTensors implements AutoCloseable {
    private static final long MAX_HEADER_BYTES = 100L << 20;
    private static final int LENGTH_BYTES = Long.BYTES;
    private static final int MAX_RANK = 16;

    private static final ValueLayout.OfLong LITTLE_ENDIAN_LONG =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private static final JsonFactory JSON =
            JsonFactory.builder()
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .streamReadConstraints(
                            StreamReadConstraints.builder()
                                    .maxNestingDepth(8)
                                    .maxStringLength((int) MAX_HEADER_BYTES)
                                    .build())
                    .build();

    private final Path file;
    private final Arena arena = Arena.ofShared();
    private final Map<String, Tensor> tensors;
    private final Map<String, String> metadata;

    private SafeTensors(Path file) {
        this.file = file;
        try {
            Header header = new Header(file.toString());
            header.read(map(file, arena));
            tensors = Collections.unmodifiableMap(header.tensors);
            metadata = Collections.unmodifiableMap(header.metadata);
        } catch (RuntimeException | Error e) {
            arena.close();
            throw e;
        }
    }

    /**
     * Opens a file and reads its header; the tensors are read when they are used.
     *
     * @throws BadBundleException if it cannot be read or is no whole safetensors file, saying what it is
     *     instead where that can be told
     */
    public static SafeTensors open(Path file) {
        return new SafeTensors(file);
    }

    private static MemorySegment map(Path file, Arena arena) {
        if (Files.isDirectory(file)) {
            throw new BadBundleException(file + " is a folder: a .safetensors file is expected");
        }
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            return channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
        } catch (IOException e) {
            throw new BadBundleException(
                    file + " cannot be read (" + e + "): check that it is there and readable", e);
        }
    }

    /** The file that was opened. */
    public Path file() {
        return file;
    }

    /** All tensors by name, in the header's order. */
    public Map<String, Tensor> tensors() {
        return tensors;
    }

    /** Extents of its tensors by name, in the header's order. */
    Map<String, List<Long>> shapes() {
        Map<String, List<Long>> shapes = new LinkedHashMap<>();
        tensors.forEach((name, tensor) -> shapes.put(name, tensor.shape()));
        return shapes;
    }

    /** In which most of its elements are stored, as in "fp16"; empty: it has none. */
    public String precision() {
        return ElementType.most(tensors.values());
    }

    /** What the header's {@code __metadata__} says; empty where there is none. */
    public Map<String, String> metadata() {
        return metadata;
    }

    /** Ends the mapping: no tensor of it may be read any more. */
    @Override
    public void close() {
        arena.close();
    }

    /** Parser of one file's header. */
    private static final class Header {
        private final String file;
        private final Map<String, Tensor> tensors = new LinkedHashMap<>();
        private final Map<String, String> metadata = new LinkedHashMap<>();
        private final List<Place> places = new ArrayList<>();

        /** Where a tensor lies among the elements, in bytes. */
        private record Place(
                String name, ElementType type, List<Long> shape, long begin, long end) {}

        Header(String file) {
            this.file = file;
        }

        void read(MemorySegment bytes) {
            FileKind.refuseOthers(file, bytes);
            if (bytes.byteSize() < LENGTH_BYTES) {
                throw damaged("has " + bytes.byteSize() + " bytes, fewer than its header's length");
            }
            long length = bytes.get(LITTLE_ENDIAN_LONG, 0);
            if (length < 2 || length > MAX_HEADER_BYTES) {
                throw damaged(
                        "names a header of "
                                + Long.toUnsignedString(length)
                                + " bytes, which lies outside of 2 to "
                                + MAX_HEADER_BYTES);
            }
            if (length > bytes.byteSize() - LENGTH_BYTES) {
                throw damaged(
                        "has "
                                + bytes.byteSize()
                                + " bytes, but its header alone takes "
                                + (length + LENGTH_BYTES)
                                + ": the file is incomplete");
            }
            byte[] text = bytes.asSlice(LENGTH_BYTES, length).toArray(ValueLayout.JAVA_BYTE);
            parse(text);
            place(bytes.asSlice(LENGTH_BYTES + length));
        }

        private void parse(byte[] text) {
            if (text[0] != '{') {
                throw damaged("has a header that does not begin with {");
            }
            try (JsonParser parser = JSON.createParser(text)) {
                parser.nextToken();
                while (parser.nextToken() == JsonToken.FIELD_NAME) {
                    String name = parser.currentName();
                    if (parser.nextToken() != JsonToken.START_OBJECT) {
                        throw damaged("header: \"" + name + "\" is no object");
                    }
                    if (name.equals("__metadata__")) {
                        readMetadata(parser);
                    } else {
                        places.add(readPlace(parser, name));
                    }
                }
                if (parser.currentToken() != JsonToken.END_OBJECT || parser.nextToken() != null) {
                    throw damaged("has text behind its header");
                }
            } catch (JsonProcessingException e) {
                String what = e.getOriginalMessage().replace('\n', ' ');
                throw new BadBundleException(damage("header: not valid JSON: " + what), e);
            } catch (IOException e) {
                throw new BadBundleException(damage("header: " + e), e);
            }
        }

        private void readMetadata(JsonParser parser) throws IOException {
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String key = parser.currentName();
                if (parser.nextToken() != JsonToken.VALUE_STRING) {
                    throw damaged("header: __metadata__." + key + " is no string");
                }
                metadata.put(key, parser.getText());
            }
        }

        private Place readPlace(JsonParser parser, String name) throws IOException {
            String type = null;
            List<Long> shape = null;
            List<Long> offsets = null;
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String key = parser.currentName();
                parser.nextToken();
                switch (key) {
                    case "dtype" -> {
                        if (parser.currentToken() != JsonToken.VALUE_STRING) {
                            throw tensor(name, "its dtype is no string");
                        }
                        type = parser.getText();
                    }
                    case "shape" -> shape = extents(parser, name, key);
                    case "data_offsets" -> offsets = extents(parser, name, key);
                    default -> throw tensor(name, "has the unknown key \"" + key + "\"");
                }
            }
            if (type == null || shape == null || offsets == null) {
                throw tensor(name, "lacks dtype, shape or data_offsets");
            }
            ElementType known = ElementType.of(type);
            if (known == null) {
                throw tensor(
                        name,
                        "has the element type "
                                + type
                                + ", which is not supported; supported are "
                                + List.of(ElementType.values()));
            }
            if (offsets.size() != 2 || offsets.get(0) > offsets.get(1)) {
                throw tensor(name, "has data_offsets " + offsets + ", not [begin, end]");
            }
            long begin = offsets.get(0);
            long end = offsets.get(1);
            if (end - begin != bytes(known, shape, name)) {
                throw tensor(
                        name,
                        "has "
                                + (end - begin)
                                + " bytes, but "
                                + type
                                + " of shape "
                                + shape
                                + " takes "
                                + bytes(known, shape, name));
            }
            return new Place(name, known, shape, begin, end);
        }

        private List<Long> extents(JsonParser parser, String name, String key) throws IOException {
            if (parser.currentToken() != JsonToken.START_ARRAY) {
                throw tensor(name, "its " + key + " is no list");
            }
            List<Long> values = new ArrayList<>();
            while (parser.nextToken() != JsonToken.END_ARRAY) {
                boolean whole = parser.currentToken() == JsonToken.VALUE_NUMBER_INT;
                if (!whole || parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER) {
                    throw tensor(name, "its " + key + " holds " + parser.getText());
                }
                if (parser.getLongValue() < 0) {
                    throw tensor(name, "its " + key + " holds " + parser.getLongValue());
                }
                values.add(parser.getLongValue());
                if (values.size() > MAX_RANK) {
                    throw tensor(name, "its " + key + " has more than " + MAX_RANK + " entries");
                }
            }
            return values;
        }

        private long bytes(ElementType type, List<Long> shape, String name) {
            try {
                long count = type.bytes();
                for (long extent : shape) {
                    count = Math.multiplyExact(count, extent);
                }
                return count;
            } catch (ArithmeticException e) {
                throw tensor(name, "has the shape " + shape + ", which is too large");
            }
        }

        /** Checks that the tensors cover the elements without gap or overlap, and slices them. */
        private void place(MemorySegment elements) {
            List<Place> inOrder = new ArrayList<>(places);
            inOrder.sort(Comparator.comparingLong(Place::begin).thenComparingLong(Place::end));
            long at = 0;
            String before = "the header";
            for (Place p : inOrder) {
                if (p.begin() != at) {
                    throw tensor(
                            p.name(),
                            "begins at byte "
                                    + p.begin()
                                    + ", but "
                                    + before
                                    + " ends at "
                                    + at
                                    + (p.begin() < at ? ": they overlap" : ": there is a gap"));
                }
                at = p.end();
                before = "\"" + p.name() + "\"";
            }
            if (at != elements.byteSize()) {
                throw damaged(
                        "has "
                                + elements.byteSize()
                                + " bytes of tensors where its header names "
                                + at
                                + (at > elements.byteSize()
                                        ? ": the file is incomplete; download it again"
                                        : ": something was added to it"));
            }
            for (Place p : places) {
                MemorySegment data = elements.asSlice(p.begin(), p.end() - p.begin());
                tensors.put(p.name(), new Tensor(p.name(), p.type(), p.shape(), data));
            }
        }

        private BadBundleException tensor(String name, String what) {
            String shown = name.length() > 120 ? name.substring(0, 120) + "…" : name;
            return damaged("header: \"" + shown + "\" " + what);
        }

        private BadBundleException damaged(String what) {
            return new BadBundleException(damage(what));
        }

        private String damage(String what) {
            return file + " " + what + ". It is no whole safetensors file: download it again";
        }
    }
}
