// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ffi;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.Optional;

/** The heap of the C library, which native libraries allocate from. */
public final class NativeHeap {
    private NativeHeap() {}

    /**
     * Gives memory that was freed back to the system, where the C library can (glibc). It keeps what
     * was freed in pieces: gigabytes once a network was compiled.
     */
    @SuppressWarnings("restricted") // this package is the one that links
    public static void trim() {
        Optional<MemorySegment> function =
                Linker.nativeLinker().defaultLookup().find("malloc_trim");
        if (function.isEmpty()) {
            return;
        }
        MethodHandle trim =
                Linker.nativeLinker()
                        .downcallHandle(function.get(), FunctionDescriptor.of(JAVA_INT, JAVA_LONG));
        try {
            int ignored = (int) trim.invokeExact(0L);
        } catch (Throwable e) {
            throw new AssertionError("malloc_trim", e);
        }
    }
}
