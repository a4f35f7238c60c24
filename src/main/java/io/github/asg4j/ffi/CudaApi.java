// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ffi;

import java.lang.foreign.MemorySegment;

/**
 * The part of the CUDA driver API that the engine uses: {@link CudaDriver} on a GPU, a simulation in
 * tests. Handles and device addresses are the driver's 64-bit values.
 *
 * <p>What takes a stream only enqueues. Except for devices and contexts, a call concerns the context
 * that is current in the calling thread ({@link #setCurrent}). Failures are a {@link
 * io.github.asg4j.DeviceException}, or a {@link io.github.asg4j.OutOfMemoryException} if memory
 * lacks, that name the function, the driver's code and its name; a failure of earlier asynchronous
 * work may surface in any call.
 */
public interface CudaApi {
    /** CUdevice_attribute. */
    int MULTIPROCESSOR_COUNT = 16;

    int COMPUTE_CAPABILITY_MAJOR = 75;
    int COMPUTE_CAPABILITY_MINOR = 76;

    /** Newest CUDA version that the driver serves, as 13010 for 13.1. */
    int driverVersion();

    int deviceCount();

    String deviceName(int device);

    int deviceAttribute(int attribute, int device);

    /** Handle of the device's primary context, which ONNX Runtime uses too. */
    long retainPrimaryContext(int device);

    void releasePrimaryContext(int device);

    /** Makes a context current in the calling thread. */
    void setCurrent(long context);

    /** Bytes of device memory: free now (total false) or altogether. */
    long memoryInfo(boolean total);

    /** Device memory, of undefined contents, aligned to 256 bytes. */
    long allocate(long bytes);

    /** Waits for all work of the device. */
    void free(long address);

    /** Page-locked host memory, of undefined contents, that all devices reach. */
    long allocateHost(long bytes);

    void freeHost(long address);

    /** A stream that does not wait for the default stream. */
    long createStream();

    void destroyStream(long stream);

    void synchronizeStream(long stream);

    /**
     * An event without timing whose host waits sleep rather than spin.
     *
     * @param timing whether {@link #elapsedMillis} may be asked
     */
    long createEvent(boolean timing);

    void destroyEvent(long event);

    void recordEvent(long event, long stream);

    /** Later work of the stream waits, on the device, for what the event recorded last. */
    void waitEvent(long stream, long event);

    /** Blocks the calling thread. */
    void synchronizeEvent(long event);

    /** Whether the work that the event recorded last is done. */
    boolean queryEvent(long event);

    float elapsedMillis(long startEvent, long endEvent);

    void copyHostToDevice(long to, MemorySegment from, long bytes, long stream);

    void copyDeviceToHost(MemorySegment to, long from, long bytes, long stream);

    void copyDeviceToDevice(long to, long from, long bytes, long stream);

    /** Between the devices of two contexts; the driver stages through the host if it has to. */
    void copyPeer(long to, long toContext, long from, long fromContext, long bytes, long stream);

    void setBytes(long to, byte value, long bytes, long stream);

    boolean canAccessPeer(int device, int peer);

    /** The current context may from now on address the memory of the peer's context. */
    void enablePeerAccess(long peerContext);

    /** Loads a cubin for the current context. */
    long loadModule(MemorySegment cubin, String name);

    void unloadModule(long module);

    /** Handle of a kernel by its name. */
    long function(long module, String name);

    void launch(
            long function,
            int gridX,
            int gridY,
            int gridZ,
            int blockThreads,
            long stream,
            LaunchArguments arguments);
}
