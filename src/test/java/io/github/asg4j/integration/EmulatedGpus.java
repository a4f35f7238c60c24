// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import io.github.asg4j.DeviceException;
import io.github.asg4j.Engine;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.device.CheckedCuda;
import io.github.asg4j.device.CudaDevice;
import io.github.asg4j.device.CudaStream;
import io.github.asg4j.ffi.CudaApi;
import io.github.asg4j.ffi.EmulatedCuda;
import io.github.asg4j.kernel.CudaProgram;
import io.github.asg4j.kernel.EmulatedKernels;
import io.github.asg4j.ort.EmulatedProvider;
import io.github.asg4j.ort.Provider;
import io.github.asg4j.run.worker.Gpus;
import io.github.asg4j.run.worker.WorkerHook;

import java.lang.foreign.ValueLayout;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;

/** Two GPUs whose work is done on the CPU, every access and order of it checked. */
final class EmulatedGpus implements Gpus {
    private final CheckedCuda checked;
    private final AtomicInteger calls = new AtomicInteger();
    private final int[] callsByDevice = new int[2];
    private volatile int spoilt = -1;
    private volatile int lost = -1;
    private volatile long mostBytes = Long.MAX_VALUE;
    private volatile Runnable beforeFront = () -> {};

    EmulatedGpus() {
        this(EmulatedCuda.Machine.USUAL);
    }

    EmulatedGpus(EmulatedCuda.Machine machine) {
        checked = new CheckedCuda(EmulatedCuda.open(machine));
    }

    /** The tiny bundle on these devices. */
    Engine open(String devices) {
        return open(devices, WorkerHook.NONE);
    }

    Engine open(String devices, WorkerHook hook) {
        return TestEngines.open(Tiny.options(1).withDevices(devices), hook, this);
    }

    CheckedCuda checked() {
        return checked;
    }

    /** A value of what the network is given after the next {@code after} calls is not a number. */
    void spoilInputOf(int after) {
        spoilt = calls.get() + after;
    }

    /** From now on nothing works on the device any more. */
    void lose(int device) {
        lost = device;
        EmulatedCuda.lose(device);
        checked.lose(device);
    }

    /** Of text encoders and VAE what takes or returns more bytes finds no memory. */
    void limitFront(long bytes) {
        mostBytes = bytes;
    }

    /** From now on called before each run of text encoders and VAE. */
    void beforeFront(Runnable action) {
        beforeFront = action;
    }

    /** Runs of the denoiser so far, by device. */
    int[] callsByDevice() {
        synchronized (callsByDevice) {
            return callsByDevice.clone();
        }
    }

    @Override
    public CudaApi driver() {
        return checked;
    }

    @Override
    public CudaProgram program(CudaDevice device) {
        return EmulatedKernels.program(device);
    }

    @Override
    public Provider onStream(CudaStream stream) {
        long handle = stream.handle();
        int device = stream.device().ordinal();
        return new EmulatedProvider(
                (in, out) -> {
                    checked.network(handle, in, out);
                    synchronized (callsByDevice) {
                        callsByDevice[device]++;
                    }
                    if (calls.getAndIncrement() == spoilt) {
                        in.getFirst().set(ValueLayout.JAVA_FLOAT, 0, Float.NaN);
                    }
                });
    }

    @Override
    public Provider withHostTensors(CudaDevice device) {
        int ordinal = device.ordinal();
        return new EmulatedProvider(
                (in, out) -> {
                    beforeFront.run();
                    if (ordinal == lost) {
                        throw new DeviceException("the device of this network is lost");
                    }
                    if (Stream.concat(in.stream(), out.stream())
                            .anyMatch(tensor -> tensor.byteSize() > mostBytes)) {
                        throw new IllegalStateException(
                                "Failed to allocate memory for requested buffer of size 1");
                    }
                });
    }
}
