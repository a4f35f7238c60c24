// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ffi;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The CUDA driver of native/emulation: {@link CudaDriver} binds it as it binds NVIDIA's, and the
 * kernels that it launches are those of kernels/, run on the CPU. One per process; {@link #open}
 * makes it new.
 */
public final class EmulatedCuda {
    private static final Path LIBRARY = Path.of("target/native-build/cuda/libcuda.so.1");

    /** Enough for every test. */
    private static final long MEMORY = 1L << 30;

    private EmulatedCuda() {}

    /** Order in which the threads of a block run. */
    public enum Order {
        ASCENDING,
        DESCENDING,
        SCATTERED
    }

    /** What the machine looks like. */
    public record Machine(
            int devices, int driverVersion, int architecture, long memory, Order order) {
        public static final Machine USUAL = new Machine(2, 13010, 90, MEMORY, Order.ASCENDING);

        public Machine with(Order other) {
            return new Machine(devices, driverVersion, architecture, memory, other);
        }
    }

    /** A driver that was just installed. */
    public static CudaDriver open(Machine machine) {
        install(machine);
        return CudaDriver.open(LIBRARY);
    }

    static Path install(Machine machine) {
        call(
                "asg_emulated_reset",
                FunctionDescriptor.ofVoid(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_INT),
                machine.devices,
                machine.driverVersion,
                machine.architecture,
                machine.memory,
                machine.order.ordinal());
        return LIBRARY;
    }

    /** The call of a function after the next {@code after} ones fails. */
    public static void fail(String function, int after, int status) {
        try (Arena arena = Arena.ofConfined()) {
            call(
                    "asg_emulated_fail",
                    FunctionDescriptor.ofVoid(ADDRESS, JAVA_INT, JAVA_INT),
                    arena.allocateFrom(function),
                    after,
                    status);
        }
    }

    /** From now on every call for the device fails. */
    public static void lose(int device) {
        call("asg_emulated_lose", FunctionDescriptor.ofVoid(JAVA_INT), device);
    }

    /** From now on, memory of the host passes for memory of a device. */
    public static void takeAnyMemory() {
        call("asg_emulated_any_memory", FunctionDescriptor.ofVoid());
    }

    /** Allocations, streams, events, modules and contexts that nobody freed. */
    public static int left() {
        return (int) call("asg_emulated_left", FunctionDescriptor.of(JAVA_INT));
    }

    /** Names of all kernels that it can launch. */
    @SuppressWarnings("restricted")
    public static List<String> kernels() {
        List<String> names = new ArrayList<>();
        while (true) {
            MemorySegment name =
                    (MemorySegment)
                            call(
                                    "asg_emulated_name",
                                    FunctionDescriptor.of(ADDRESS, JAVA_INT),
                                    names.size());
            if (name.address() == 0) {
                return names;
            }
            names.add(name.reinterpret(100).getString(0));
        }
    }

    private static Object call(String name, FunctionDescriptor descriptor, Object... arguments) {
        try {
            return handle(name, descriptor).invokeWithArguments(arguments);
        } catch (Throwable e) {
            throw new AssertionError(name, e);
        }
    }

    @SuppressWarnings("restricted")
    private static MethodHandle handle(String name, FunctionDescriptor descriptor) {
        assumeTrue(CpuLibrary.built(), "skipped: this build has no native code");
        assertTrue(Files.isRegularFile(LIBRARY), LIBRARY + " is not built: native/build.sh test");
        SymbolLookup symbols = SymbolLookup.libraryLookup(LIBRARY, Arena.global());
        return Linker.nativeLinker().downcallHandle(symbols.find(name).orElseThrow(), descriptor);
    }
}
