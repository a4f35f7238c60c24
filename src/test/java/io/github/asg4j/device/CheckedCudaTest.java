// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.ffi.EmulatedCuda;
import io.github.asg4j.ffi.EmulatedCuda.Machine;

import org.junit.jupiter.api.Test;

import java.lang.foreign.ValueLayout;
import java.util.Set;

/** The checks of {@link CheckedCuda} find what they are there for: without that they prove nothing. */
class CheckedCudaTest {
    private static final long BYTES = 1024;

    /** A step that a program can leave out. */
    private enum Step {
        WAIT_FOR_WRITER,
        WAIT_FOR_READER,
        WAIT_ON_HOST
    }

    /**
     * One stream writes, another reads and gives back, the first writes again, the host looks: every
     * wait is needed.
     */
    private static void exchange(Set<Step> left, long more) {
        CheckedCuda api = new CheckedCuda(EmulatedCuda.open(Machine.USUAL));
        CudaDevice device = CudaDevice.open(api, 0);
        CudaStream writer = device.newStream();
        CudaStream reader = device.newStream();
        CudaEvent written = device.newEvent();
        CudaEvent read = device.newEvent();
        DeviceBuffer guide = device.allocate(BYTES, "guide");
        DeviceBuffer copy = device.allocate(2 * BYTES, "copy");
        DeviceBuffer seen = device.allocateHost(BYTES, "seen");
        for (int step = 1; step <= 3; step++) {
            if (step > 1 && !left.contains(Step.WAIT_FOR_READER)) {
                writer.await(read);
            }
            writer.fill(guide.segment(), (byte) step, BYTES);
            writer.record(written);
            if (!left.contains(Step.WAIT_FOR_WRITER)) {
                reader.await(written);
            }
            // Past the checks of CudaStream, as a wrong size of ours would be.
            api.copyDeviceToDevice(
                    copy.segment().address(),
                    guide.segment().address(),
                    BYTES + more,
                    reader.handle());
            reader.record(read);
            reader.download(seen.segment(), copy.segment(), BYTES);
        }
        if (!left.contains(Step.WAIT_ON_HOST)) {
            reader.synchronize();
        }
        assertEquals(3, seen.segment().get(ValueLayout.JAVA_BYTE, 0));
        writer.synchronize();
        device.close();
    }

    @Test
    void aRightProgramPasses() {
        exchange(Set.of(), 0);
    }

    @Test
    void everyWaitIsNeeded() {
        for (Step step : Step.values()) {
            assertThrows(AssertionError.class, () -> exchange(Set.of(step), 0), step::name);
        }
    }

    @Test
    void sixteenBytesMoreAreFound() {
        AssertionError e = assertThrows(AssertionError.class, () -> exchange(Set.of(), 16));
        assertTrue(e.getMessage().contains("1040 bytes"), e.getMessage());
    }

    @Test
    void anEventThatNobodyRecordedIsFound() {
        CheckedCuda api = new CheckedCuda(EmulatedCuda.open(Machine.USUAL));
        CudaDevice device = CudaDevice.open(api, 0);
        CudaStream stream = device.newStream();
        CudaEvent event = device.newEvent();
        AssertionError e = assertThrows(AssertionError.class, () -> stream.await(event));
        assertTrue(e.getMessage().contains("nobody recorded"), e.getMessage());
    }

    @Test
    void memoryInUseIsNotFreed() {
        CheckedCuda api = new CheckedCuda(EmulatedCuda.open(Machine.USUAL));
        CudaDevice device = CudaDevice.open(api, 0);
        CudaStream stream = device.newStream();
        DeviceBuffer buffer = device.allocate(BYTES, "latents");
        stream.fill(buffer.segment(), (byte) 0, BYTES);
        AssertionError e = assertThrows(AssertionError.class, buffer::close);
        assertTrue(e.getMessage().contains("may not have been done"), e.getMessage());
    }

    @Test
    void theSourceOfAnUploadStaysAsItIs() {
        CheckedCuda api = new CheckedCuda(EmulatedCuda.open(Machine.USUAL));
        CudaDevice device = CudaDevice.open(api, 0);
        CudaStream stream = device.newStream();
        DeviceBuffer buffer = device.allocate(BYTES, "starts");
        DeviceBuffer source = device.allocateHost(BYTES, "starts");
        stream.upload(buffer.segment(), source.segment(), BYTES);
        source.segment().set(ValueLayout.JAVA_INT, 0, 1);
        AssertionError e = assertThrows(AssertionError.class, stream::synchronize);
        assertTrue(e.getMessage().contains("source of an upload"), e.getMessage());
    }

    @Test
    void anotherDevicesMemoryNeedsAccess() {
        CheckedCuda api = new CheckedCuda(EmulatedCuda.open(Machine.USUAL));
        CudaDevice first = CudaDevice.open(api, 0);
        DeviceBuffer buffer = first.allocate(BYTES, "guide");
        CudaDevice second = CudaDevice.open(api, 1);
        CudaStream stream = second.newStream();
        AssertionError e =
                assertThrows(
                        AssertionError.class, () -> stream.fill(buffer.segment(), (byte) 0, BYTES));
        assertTrue(e.getMessage().contains("another device"), e.getMessage());
    }
}
