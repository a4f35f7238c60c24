// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ffi;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.github.asg4j.AsgException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.OutOfMemoryException;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;

/**
 * The CUDA driver ({@code libcuda.so.1}, which comes with NVIDIA's kernel module). Opened by {@link
 * #open} and by nothing else, so a machine without a GPU never touches it. Thread-safe as the driver
 * is; a call that takes a stream allocates nothing.
 *
 * <p>Handles are pointers to the driver and {@code long} to us: the same register, and no segment
 * has to be made per call.
 */
public final class CudaDriver implements CudaApi {
    /** Names a library file to use instead of the system's, and then nothing else. */
    public static final String PATH_PROPERTY = "asg.cuda.driver";

    private static final String LIBRARY = "libcuda.so.1";
    private static final int OUT_OF_MEMORY = 2;
    private static final int NOT_READY = 600;
    private static final int ALREADY_ENABLED = 704; // peer access
    private static final int NON_BLOCKING = 1;
    private static final int BLOCKING_SYNC = 1;
    private static final int DISABLE_TIMING = 2;
    private static final int PORTABLE = 1;
    private static final long NAME_BYTES = 256;

    private final SymbolLookup symbols;
    private final MethodHandle errorName;
    private final MethodHandle setCurrent;
    private final MethodHandle free;
    private final MethodHandle freeHost;
    private final MethodHandle destroyStream;
    private final MethodHandle synchronizeStream;
    private final MethodHandle destroyEvent;
    private final MethodHandle recordEvent;
    private final MethodHandle waitEvent;
    private final MethodHandle synchronizeEvent;
    private final MethodHandle queryEvent;
    private final MethodHandle hostToDevice;
    private final MethodHandle deviceToHost;
    private final MethodHandle deviceToDevice;
    private final MethodHandle peer;
    private final MethodHandle setBytes;
    private final MethodHandle unloadModule;
    private final MethodHandle launch;

    private CudaDriver(SymbolLookup symbols) {
        this.symbols = symbols;
        errorName = function("cuGetErrorName", JAVA_INT, ADDRESS);
        setCurrent = function("cuCtxSetCurrent", JAVA_LONG);
        free = function("cuMemFree_v2", JAVA_LONG);
        freeHost = function("cuMemFreeHost", JAVA_LONG);
        destroyStream = function("cuStreamDestroy_v2", JAVA_LONG);
        synchronizeStream = function("cuStreamSynchronize", JAVA_LONG);
        destroyEvent = function("cuEventDestroy_v2", JAVA_LONG);
        recordEvent = function("cuEventRecord", JAVA_LONG, JAVA_LONG);
        waitEvent = function("cuStreamWaitEvent", JAVA_LONG, JAVA_LONG, JAVA_INT);
        synchronizeEvent = function("cuEventSynchronize", JAVA_LONG);
        queryEvent = function("cuEventQuery", JAVA_LONG);
        hostToDevice = function("cuMemcpyHtoDAsync_v2", JAVA_LONG, ADDRESS, JAVA_LONG, JAVA_LONG);
        deviceToHost = function("cuMemcpyDtoHAsync_v2", ADDRESS, JAVA_LONG, JAVA_LONG, JAVA_LONG);
        deviceToDevice =
                function("cuMemcpyDtoDAsync_v2", JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG);
        peer =
                function(
                        "cuMemcpyPeerAsync",
                        JAVA_LONG,
                        JAVA_LONG,
                        JAVA_LONG,
                        JAVA_LONG,
                        JAVA_LONG,
                        JAVA_LONG);
        setBytes = function("cuMemsetD8Async", JAVA_LONG, JAVA_BYTE, JAVA_LONG, JAVA_LONG);
        unloadModule = function("cuModuleUnload", JAVA_LONG);
        launch =
                function(
                        "cuLaunchKernel",
                        JAVA_LONG,
                        JAVA_INT,
                        JAVA_INT,
                        JAVA_INT,
                        JAVA_INT,
                        JAVA_INT,
                        JAVA_INT,
                        JAVA_INT,
                        JAVA_LONG,
                        ADDRESS,
                        ADDRESS);
    }

    /**
     * Opens the driver and initialises it.
     *
     * @throws DeviceException if there is no driver, it is broken, or it sees no device
     */
    public static CudaDriver open() {
        String path = System.getProperty(PATH_PROPERTY, "");
        if (!path.isEmpty()) {
            return open(Path.of(path));
        }
        try {
            return initialised(lookup(LIBRARY));
        } catch (IllegalArgumentException e) {
            throw new DeviceException(
                    "no NVIDIA driver: "
                            + LIBRARY
                            + " cannot be opened; install the driver (580 or newer, for CUDA 13),"
                            + " and start a container with the GPU (--gpus all)",
                    e);
        }
    }

    /** Opens the driver in a file; see {@link #open()}. */
    static CudaDriver open(Path library) {
        try {
            return initialised(lookup(library.toString()));
        } catch (IllegalArgumentException e) {
            throw new DeviceException(
                    library + " cannot be opened: correct -D" + PATH_PROPERTY + " or leave it out",
                    e);
        }
    }

    private static CudaDriver initialised(SymbolLookup symbols) {
        CudaDriver driver = new CudaDriver(symbols);
        driver.check("cuInit", driver.invoke(driver.function("cuInit", JAVA_INT), 0));
        return driver;
    }

    @SuppressWarnings("restricted")
    private static SymbolLookup lookup(String library) {
        try {
            return SymbolLookup.libraryLookup(library, Arena.global());
        } catch (IllegalCallerException e) {
            throw new DeviceException(
                    "this JVM does not allow native code; start it with"
                            + " --enable-native-access=ALL-UNNAMED",
                    e);
        }
    }

    /** All functions return CUresult. */
    @SuppressWarnings("restricted")
    private MethodHandle function(String name, MemoryLayout... arguments) {
        MemorySegment address =
                symbols.find(name)
                        .orElseThrow(
                                () ->
                                        new DeviceException(
                                                "the NVIDIA driver has no "
                                                        + name
                                                        + ": it is too old; install 580 or newer"));
        return Linker.nativeLinker()
                .downcallHandle(address, FunctionDescriptor.of(JAVA_INT, arguments));
    }

    @Override
    public int driverVersion() {
        return readInt("cuDriverGetVersion", function("cuDriverGetVersion", ADDRESS));
    }

    @Override
    public int deviceCount() {
        return readInt("cuDeviceGetCount", function("cuDeviceGetCount", ADDRESS));
    }

    /** Handle of the device of a number. */
    private int handle(int device) {
        MethodHandle get = function("cuDeviceGet", ADDRESS, JAVA_INT);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment handle = arena.allocate(JAVA_INT);
            int status;
            try {
                status = (int) get.invokeExact(handle, device);
            } catch (Throwable e) {
                throw unexpected(e);
            }
            check("cuDeviceGet", status);
            return handle.get(JAVA_INT, 0);
        }
    }

    @Override
    public String deviceName(int device) {
        MethodHandle name = function("cuDeviceGetName", ADDRESS, JAVA_INT, JAVA_INT);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment text = arena.allocate(NAME_BYTES);
            int status;
            try {
                status = (int) name.invokeExact(text, (int) NAME_BYTES, handle(device));
            } catch (Throwable e) {
                throw unexpected(e);
            }
            check("cuDeviceGetName", status);
            return text.getString(0);
        }
    }

    @Override
    public int deviceAttribute(int attribute, int device) {
        MethodHandle get = function("cuDeviceGetAttribute", ADDRESS, JAVA_INT, JAVA_INT);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(JAVA_INT);
            int status;
            try {
                status = (int) get.invokeExact(value, attribute, handle(device));
            } catch (Throwable e) {
                throw unexpected(e);
            }
            check("cuDeviceGetAttribute", status);
            return value.get(JAVA_INT, 0);
        }
    }

    @Override
    public long retainPrimaryContext(int device) {
        return readLong(
                "cuDevicePrimaryCtxRetain",
                function("cuDevicePrimaryCtxRetain", ADDRESS, JAVA_INT),
                handle(device));
    }

    @Override
    public void releasePrimaryContext(int device) {
        MethodHandle release = function("cuDevicePrimaryCtxRelease_v2", JAVA_INT);
        check("cuDevicePrimaryCtxRelease", invoke(release, handle(device)));
    }

    @Override
    public void setCurrent(long context) {
        check("cuCtxSetCurrent", invoke(setCurrent, context));
    }

    @Override
    public long memoryInfo(boolean total) {
        MethodHandle info = function("cuMemGetInfo_v2", ADDRESS, ADDRESS);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment free = arena.allocate(JAVA_LONG);
            MemorySegment all = arena.allocate(JAVA_LONG);
            int status;
            try {
                status = (int) info.invokeExact(free, all);
            } catch (Throwable e) {
                throw unexpected(e);
            }
            check("cuMemGetInfo", status);
            return (total ? all : free).get(JAVA_LONG, 0);
        }
    }

    @Override
    public long allocate(long bytes) {
        return readLong("cuMemAlloc", function("cuMemAlloc_v2", ADDRESS, JAVA_LONG), bytes);
    }

    @Override
    public void free(long address) {
        check("cuMemFree", invoke(free, address));
    }

    @Override
    public long allocateHost(long bytes) {
        MethodHandle allocate = function("cuMemHostAlloc", ADDRESS, JAVA_LONG, JAVA_INT);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment address = arena.allocate(JAVA_LONG);
            int status;
            try {
                status = (int) allocate.invokeExact(address, bytes, PORTABLE);
            } catch (Throwable e) {
                throw unexpected(e);
            }
            check("cuMemHostAlloc", status);
            return address.get(JAVA_LONG, 0);
        }
    }

    @Override
    public void freeHost(long address) {
        check("cuMemFreeHost", invoke(freeHost, address));
    }

    @Override
    public long createStream() {
        return readLong(
                "cuStreamCreate", function("cuStreamCreate", ADDRESS, JAVA_INT), NON_BLOCKING);
    }

    @Override
    public void destroyStream(long stream) {
        check("cuStreamDestroy", invoke(destroyStream, stream));
    }

    @Override
    public void synchronizeStream(long stream) {
        check("cuStreamSynchronize", invoke(synchronizeStream, stream));
    }

    @Override
    public long createEvent(boolean timing) {
        return readLong(
                "cuEventCreate",
                function("cuEventCreate", ADDRESS, JAVA_INT),
                timing ? BLOCKING_SYNC : BLOCKING_SYNC | DISABLE_TIMING);
    }

    @Override
    public void destroyEvent(long event) {
        check("cuEventDestroy", invoke(destroyEvent, event));
    }

    @Override
    public void recordEvent(long event, long stream) {
        int status;
        try {
            status = (int) recordEvent.invokeExact(event, stream);
        } catch (Throwable e) {
            throw unexpected(e);
        }
        check("cuEventRecord", status);
    }

    @Override
    public void waitEvent(long stream, long event) {
        int status;
        try {
            status = (int) waitEvent.invokeExact(stream, event, 0);
        } catch (Throwable e) {
            throw unexpected(e);
        }
        check("cuStreamWaitEvent", status);
    }

    @Override
    public void synchronizeEvent(long event) {
        check("cuEventSynchronize", invoke(synchronizeEvent, event));
    }

    @Override
    public boolean queryEvent(long event) {
        int status = invoke(queryEvent, event);
        if (status == NOT_READY) {
            return false;
        }
        check("cuEventQuery", status);
        return true;
    }

    @Override
    public float elapsedMillis(long startEvent, long endEvent) {
        MethodHandle elapsed = function("cuEventElapsedTime", ADDRESS, JAVA_LONG, JAVA_LONG);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment millis = arena.allocate(JAVA_FLOAT);
            int status;
            try {
                status = (int) elapsed.invokeExact(millis, startEvent, endEvent);
            } catch (Throwable e) {
                throw unexpected(e);
            }
            check("cuEventElapsedTime", status);
            return millis.get(JAVA_FLOAT, 0);
        }
    }

    @Override
    public void copyHostToDevice(long to, MemorySegment from, long bytes, long stream) {
        Sizes.requireBytes(from, bytes, "copyHostToDevice", "from");
        int status;
        try {
            status = (int) hostToDevice.invokeExact(to, from, bytes, stream);
        } catch (Throwable e) {
            throw unexpected(e);
        }
        check("cuMemcpyHtoDAsync", status);
    }

    @Override
    public void copyDeviceToHost(MemorySegment to, long from, long bytes, long stream) {
        Sizes.requireBytes(to, bytes, "copyDeviceToHost", "to");
        int status;
        try {
            status = (int) deviceToHost.invokeExact(to, from, bytes, stream);
        } catch (Throwable e) {
            throw unexpected(e);
        }
        check("cuMemcpyDtoHAsync", status);
    }

    @Override
    public void copyDeviceToDevice(long to, long from, long bytes, long stream) {
        int status;
        try {
            status = (int) deviceToDevice.invokeExact(to, from, bytes, stream);
        } catch (Throwable e) {
            throw unexpected(e);
        }
        check("cuMemcpyDtoDAsync", status);
    }

    @Override
    public void copyPeer(
            long to, long toContext, long from, long fromContext, long bytes, long stream) {
        int status;
        try {
            status = (int) peer.invokeExact(to, toContext, from, fromContext, bytes, stream);
        } catch (Throwable e) {
            throw unexpected(e);
        }
        check("cuMemcpyPeerAsync", status);
    }

    @Override
    public void setBytes(long to, byte value, long bytes, long stream) {
        int status;
        try {
            status = (int) setBytes.invokeExact(to, value, bytes, stream);
        } catch (Throwable e) {
            throw unexpected(e);
        }
        check("cuMemsetD8Async", status);
    }

    @Override
    public boolean canAccessPeer(int device, int peerDevice) {
        MethodHandle can = function("cuDeviceCanAccessPeer", ADDRESS, JAVA_INT, JAVA_INT);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment answer = arena.allocate(JAVA_INT);
            int status;
            try {
                status = (int) can.invokeExact(answer, handle(device), handle(peerDevice));
            } catch (Throwable e) {
                throw unexpected(e);
            }
            check("cuDeviceCanAccessPeer", status);
            return answer.get(JAVA_INT, 0) != 0;
        }
    }

    @Override
    public void enablePeerAccess(long peerContext) {
        MethodHandle enable = function("cuCtxEnablePeerAccess", JAVA_LONG, JAVA_INT);
        int status;
        try {
            status = (int) enable.invokeExact(peerContext, 0);
        } catch (Throwable e) {
            throw unexpected(e);
        }
        check("cuCtxEnablePeerAccess", status == ALREADY_ENABLED ? 0 : status);
    }

    @Override
    public long loadModule(MemorySegment cubin, String name) {
        MethodHandle load = function("cuModuleLoadData", ADDRESS, ADDRESS);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment module = arena.allocate(JAVA_LONG);
            int status;
            try {
                status = (int) load.invokeExact(module, cubin);
            } catch (Throwable e) {
                throw unexpected(e);
            }
            check("cuModuleLoadData of " + name, status);
            return module.get(JAVA_LONG, 0);
        }
    }

    @Override
    public void unloadModule(long module) {
        check("cuModuleUnload", invoke(unloadModule, module));
    }

    @Override
    public long function(long module, String name) {
        MethodHandle get = function("cuModuleGetFunction", ADDRESS, JAVA_LONG, ADDRESS);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment function = arena.allocate(JAVA_LONG);
            int status;
            try {
                status = (int) get.invokeExact(function, module, arena.allocateFrom(name));
            } catch (Throwable e) {
                throw unexpected(e);
            }
            check("cuModuleGetFunction of " + name, status);
            return function.get(JAVA_LONG, 0);
        }
    }

    @Override
    public void launch(
            long function,
            int gridX,
            int gridY,
            int gridZ,
            int blockThreads,
            long stream,
            LaunchArguments arguments) {
        int status;
        try {
            status =
                    (int)
                            launch.invokeExact(
                                    function,
                                    gridX,
                                    gridY,
                                    gridZ,
                                    blockThreads,
                                    1,
                                    1,
                                    0,
                                    stream,
                                    arguments.pointers(),
                                    MemorySegment.NULL);
        } catch (Throwable e) {
            throw unexpected(e);
        }
        check("cuLaunchKernel", status);
    }

    private int readInt(String name, MethodHandle function) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(JAVA_INT);
            int status;
            try {
                status = (int) function.invokeExact(value);
            } catch (Throwable e) {
                throw unexpected(e);
            }
            check(name, status);
            return value.get(JAVA_INT, 0);
        }
    }

    private long readLong(String name, MethodHandle function, int argument) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(JAVA_LONG);
            int status;
            try {
                status = (int) function.invokeExact(value, argument);
            } catch (Throwable e) {
                throw unexpected(e);
            }
            check(name, status);
            return value.get(JAVA_LONG, 0);
        }
    }

    private long readLong(String name, MethodHandle function, long argument) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(JAVA_LONG);
            int status;
            try {
                status = (int) function.invokeExact(value, argument);
            } catch (Throwable e) {
                throw unexpected(e);
            }
            check(name + " of " + argument + " bytes", status);
            return value.get(JAVA_LONG, 0);
        }
    }

    private int invoke(MethodHandle function, int argument) {
        try {
            return (int) function.invokeExact(argument);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    private int invoke(MethodHandle function, long argument) {
        try {
            return (int) function.invokeExact(argument);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    private void check(String operation, int status) {
        if (status != 0) {
            throw failure(operation, status);
        }
    }

    private AsgException failure(String operation, int status) {
        String what = operation + " failed: " + name(status) + " (" + status + ")";
        return status == OUT_OF_MEMORY
                ? new OutOfMemoryException(
                        what
                                + ": the device has no such memory left; draw a smaller picture,"
                                + " lower --view-batch, or end other programs that use the GPU")
                : isSticky(status)
                        ? DeviceException.lost(what + hint(status), null)
                        : new DeviceException(what + hint(status));
    }

    /** Tells whether every call for the device fails after this status. */
    private static boolean isSticky(int status) {
        return switch (status) {
            // memory beyond repair, illegal address, timeout, assertion, and faults of a kernel
            case 214, 700, 702, 710, 714, 715, 716, 717, 718, 719 -> true;
            default -> false;
        };
    }

    @SuppressWarnings("restricted")
    private String name(int status) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment text = arena.allocate(ADDRESS);
            int found;
            try {
                found = (int) errorName.invokeExact(status, text);
            } catch (Throwable e) {
                throw unexpected(e);
            }
            return found == 0
                    ? text.get(ADDRESS, 0).reinterpret(NAME_BYTES).getString(0)
                    : "unknown error";
        }
    }

    private static String hint(int status) {
        if (isSticky(status)) {
            return ": the device's context is lost; this process cannot use it any more";
        }
        return switch (status) {
            case 3 -> ": the driver is not initialised; is its kernel module loaded (nvidia-smi)?";
            case 100 -> ": no GPU is visible; check nvidia-smi and CUDA_VISIBLE_DEVICES";
            case 35, 803 ->
                    ": the driver is too old or does not fit its kernel module; install"
                            + " 580 or newer and restart";
            case 200, 209 -> ": the machine code is not of this GPU's architecture";
            default -> "";
        };
    }

    private static IllegalStateException unexpected(Throwable e) {
        return new IllegalStateException("a call of the CUDA driver failed", e);
    }
}
