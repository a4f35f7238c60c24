// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import org.jspecify.annotations.Nullable;

import java.util.Arrays;
import java.util.Collection;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** Element type of a tensor in a safetensors file, by the name that its header uses. */
public enum ElementType {
    BOOL(1),
    U8(1),
    I8(1),
    F8_E4M3(1),
    F8_E5M2(1),
    I16(2),
    U16(2),
    F16(2),
    BF16(2),
    I32(4),
    U32(4),
    F32(4),
    I64(8),
    U64(8),
    F64(8);

    private static final Map<String, ElementType> BY_NAME =
            Arrays.stream(values()).collect(Collectors.toUnmodifiableMap(Enum::name, t -> t));

    private final int bytes;

    ElementType(int bytes) {
        this.bytes = bytes;
    }

    /** Bytes of one element. */
    public int bytes() {
        return bytes;
    }

    /** Whether elements are floating-point numbers. */
    public boolean isFloat() {
        return name().startsWith("F") || this == BF16;
    }

    /** As people call it: "fp16" of F16. */
    private String precision() {
        return isFloat() && this != BF16
                ? name().toLowerCase(Locale.ROOT).replaceFirst("f", "fp")
                : name().toLowerCase(Locale.ROOT);
    }

    /** The type of which most bytes of some tensors are, as in "fp16"; empty: there are none. */
    static String most(Collection<Tensor> tensors) {
        Map<ElementType, Long> bytes = new EnumMap<>(ElementType.class);
        tensors.forEach(t -> bytes.merge(t.type(), t.data().byteSize(), Long::sum));
        return bytes.entrySet().stream()
                .max(Map.Entry.comparingByValue())
                .map(most -> most.getKey().precision())
                .orElse("");
    }

    static @Nullable ElementType of(String name) {
        return BY_NAME.get(name);
    }
}
