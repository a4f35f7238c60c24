// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadBundleException;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.ToLongFunction;

/**
 * Finds the files that the tensors of an ONNX graph lie in, wherever tensors may stand: a walk over
 * the protobuf messages on the way to {@code TensorProto.external_data} that skips everything else,
 * weights above all.
 */
final class ExternalData {
    /** Protobuf's own limit on nested messages. */
    private static final int MAX_DEPTH = 100;

    /** Messages of onnx.proto3, by the numbers of those fields that lead to tensors. */
    private enum Message {
        MODEL,
        TRAINING,
        FUNCTION,
        GRAPH,
        NODE,
        ATTRIBUTE,
        SPARSE_TENSOR,
        TENSOR,
        ENTRY
    }

    private static final Map<Message, Map<Integer, Message>> CHILDREN =
            Map.of(
                    Message.MODEL,
                    Map.of(7, Message.GRAPH, 20, Message.TRAINING, 25, Message.FUNCTION),
                    Message.TRAINING,
                    Map.of(1, Message.GRAPH, 2, Message.GRAPH),
                    Message.FUNCTION,
                    Map.of(7, Message.NODE, 11, Message.ATTRIBUTE),
                    Message.GRAPH,
                    Map.of(1, Message.NODE, 5, Message.TENSOR, 15, Message.SPARSE_TENSOR),
                    Message.NODE,
                    Map.of(5, Message.ATTRIBUTE),
                    Message.ATTRIBUTE,
                    Map.of(
                            5, Message.TENSOR,
                            6, Message.GRAPH,
                            10, Message.TENSOR,
                            11, Message.GRAPH,
                            22, Message.SPARSE_TENSOR,
                            23, Message.SPARSE_TENSOR),
                    Message.SPARSE_TENSOR,
                    Map.of(1, Message.TENSOR, 2, Message.TENSOR),
                    Message.TENSOR,
                    Map.of(13, Message.ENTRY),
                    Message.ENTRY,
                    Map.of());

    private static final int MODEL_GRAPH = 7;
    private static final int ENTRY_KEY = 1;
    private static final int ENTRY_VALUE = 2;

    private final String file;
    private final MemorySegment bytes;
    private final Set<String> locations = new LinkedHashSet<>();
    private final Set<Run> runs = new HashSet<>();

    /** Entries of the tensor that is walked over, by key. */
    private Map<String, String> entries = new HashMap<>();

    private boolean graphSeen;
    private long at;

    /** Where a tensor lies; length is empty where it reaches to the end of the file. */
    private record Run(String location, String offset, String length) {}

    private ExternalData(String file, MemorySegment bytes) {
        this.file = file;
        this.bytes = bytes;
    }

    /**
     * The values of all external_data "location" entries, as they stand.
     *
     * @param file its name, for messages
     * @param bytes the .onnx file
     * @throws BadBundleException if it is not a whole ONNX model
     */
    static Set<String> locations(String file, MemorySegment bytes) {
        return walked(file, bytes).locations;
    }

    /**
     * How many bytes a graph's tensors take in other files; what several of them share counts once.
     *
     * @param file its name, for messages
     * @param bytes the .onnx file
     * @param sizes bytes of the file that a location means
     * @throws BadBundleException if it is not a whole ONNX model
     */
    static long size(String file, MemorySegment bytes, ToLongFunction<String> sizes) {
        ExternalData walk = walked(file, bytes);
        long sum = 0;
        for (Run run : walk.runs) {
            long size = sizes.applyAsLong(run.location);
            long offset = walk.within(run.offset, 0, size);
            sum += walk.within(run.length, size - offset, size - offset);
        }
        return sum;
    }

    private static ExternalData walked(String file, MemorySegment bytes) {
        ExternalData walk = new ExternalData(file, bytes);
        walk.message(Message.MODEL, bytes.byteSize(), 0);
        if (!walk.graphSeen) {
            throw walk.broken("it holds no graph");
        }
        return walk;
    }

    /** A number of a tensor's entries. */
    private long within(String text, long absent, long most) {
        if (text.isEmpty()) {
            return absent;
        }
        long value = text.matches("\\d{1,18}") ? Long.parseLong(text) : -1;
        if (value < 0 || value > most) {
            throw broken(
                    "a tensor's data begins at or has "
                            + text
                            + " bytes where "
                            + most
                            + " are there");
        }
        return value;
    }

    private void message(Message kind, long end, int depth) {
        if (depth > MAX_DEPTH) {
            throw broken("messages are nested deeper than " + MAX_DEPTH);
        }
        Map<Integer, Message> children = CHILDREN.getOrDefault(kind, Map.of());
        boolean isLocation = false;
        String key = "";
        Set<String> values = new LinkedHashSet<>();
        if (kind == Message.TENSOR) {
            entries = new HashMap<>();
        }
        while (at < end) {
            long tag = varint(end);
            int field = (int) (tag >>> 3);
            if (tag >>> 3 == 0 || tag >>> 3 > 0x1FFFFFFF) {
                throw broken("field number " + (tag >>> 3));
            }
            switch ((int) (tag & 7)) {
                case 0 -> varint(end);
                case 1 -> skip(8, end);
                case 2 -> {
                    long size = varint(end);
                    if (size < 0 || size > end - at) {
                        throw broken(
                                "a field of "
                                        + Long.toUnsignedString(size)
                                        + " bytes where "
                                        + (end - at)
                                        + " are left");
                    }
                    long next = at + size;
                    Message child = children.get(field);
                    if (child != null) {
                        graphSeen |= kind == Message.MODEL && field == MODEL_GRAPH;
                        message(child, next, depth + 1);
                    } else if (kind == Message.ENTRY && field == ENTRY_KEY) {
                        key = text(next);
                        isLocation |= key.equals("location");
                    } else if (kind == Message.ENTRY && field == ENTRY_VALUE) {
                        values.add(text(next));
                    }
                    at = next;
                }
                case 5 -> skip(4, end);
                default -> throw broken("wire type " + (tag & 7));
            }
        }
        if (isLocation) {
            locations.addAll(values);
        }
        if (kind == Message.ENTRY) {
            entries.put(key, values.isEmpty() ? "" : List.copyOf(values).getLast());
        }
        String location = kind == Message.TENSOR ? entries.get("location") : null;
        if (location != null) {
            runs.add(
                    new Run(
                            location,
                            entries.getOrDefault("offset", ""),
                            entries.getOrDefault("length", "")));
        }
    }

    private String text(long end) {
        return new String(
                bytes.asSlice(at, end - at).toArray(ValueLayout.JAVA_BYTE), StandardCharsets.UTF_8);
    }

    private void skip(long count, long end) {
        if (count > end - at) {
            throw broken("a number is cut off");
        }
        at += count;
    }

    private long varint(long end) {
        long value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            if (at >= end) {
                throw broken("a number is cut off");
            }
            byte part = bytes.get(ValueLayout.JAVA_BYTE, at++);
            value |= (part & 0x7FL) << shift;
            if (part >= 0) {
                return value;
            }
        }
        throw broken("a number is longer than 10 bytes");
    }

    private BadBundleException broken(String what) {
        return new BadBundleException(
                file
                        + ": not a whole ONNX model: "
                        + what
                        + ", at byte "
                        + at
                        + " of "
                        + bytes.byteSize()
                        + ". "
                        + Json.FIX);
    }
}
