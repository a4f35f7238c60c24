// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.DeviceException;
import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.ffi.EmulatedCuda;
import io.github.asg4j.ffi.EmulatedCuda.Machine;
import io.github.asg4j.ffi.EmulatedCuda.Order;

import org.junit.jupiter.api.Test;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Devices, streams, events and buffers on the emulated driver, through the binding that a GPU gets:
 * what they do, what they free, and what they say when the driver fails.
 */
class CudaDeviceTest {
    private static final long BYTES = 4096;

    private static CudaDevice device(Machine machine) {
        return CudaDevice.open(EmulatedCuda.open(machine), 0);
    }

    @Test
    void describesItself() {
        try (CudaDevice device = device(Machine.USUAL)) {
            assertEquals("cuda:0 (Emulated)", device.toString());
            assertEquals(90, device.architecture());
            assertEquals(2, device.multiprocessors());
            assertEquals(1L << 30, device.totalBytes());
            assertEquals(1L << 30, device.freeBytes());
        }
    }

    @Test
    void copiesThroughTheDevice() {
        CheckedCuda api = new CheckedCuda(EmulatedCuda.open(Machine.USUAL));
        try (CudaDevice device = CudaDevice.open(api, 0);
                CudaStream stream = device.newStream()) {
            DeviceBuffer a = device.allocate(BYTES, "a");
            DeviceBuffer b = device.allocate(BYTES, "b");
            DeviceBuffer up = device.allocateHost(BYTES, "up");
            DeviceBuffer down = device.allocateHost(BYTES, "down");
            up.segment().setAtIndex(ValueLayout.JAVA_INT, 17, 4711);
            stream.upload(a.segment(), up.segment(), BYTES);
            stream.copy(b.segment(), a.segment(), BYTES);
            stream.fill(a.segment(), (byte) 9, 8);
            stream.download(down.segment(), b.segment(), BYTES);
            assertEquals(0xA5A5A5A5, down.segment().getAtIndex(ValueLayout.JAVA_INT, 17));
            stream.synchronize();
            assertEquals(4711, down.segment().getAtIndex(ValueLayout.JAVA_INT, 17));
            assertEquals(2 * BYTES, device.bytesInUse());
            stream.download(down.segment(), a.segment(), 8);
            stream.synchronize();
            assertEquals(9, down.segment().get(ValueLayout.JAVA_BYTE, 7));
        }
        assertEquals(0, EmulatedCuda.left());
    }

    @Test
    void copiesBetweenDevices() {
        CheckedCuda api = new CheckedCuda(EmulatedCuda.open(Machine.USUAL));
        try (CudaDevice first = CudaDevice.open(api, 0);
                CudaDevice second = CudaDevice.open(api, 1)) {
            first.makeCurrent();
            DeviceBuffer from = first.allocate(BYTES, "from");
            CudaStream writer = first.newStream();
            CudaEvent written = first.newEvent();
            second.makeCurrent();
            DeviceBuffer to = second.allocate(BYTES, "to");
            DeviceBuffer seen = second.allocateHost(BYTES, "seen");
            CudaStream reader = second.newStream();
            assertTrue(second.enablePeerAccess(first));
            assertTrue(second.enablePeerAccess(first), "again is no error");

            first.makeCurrent();
            writer.fill(from.segment(), (byte) 5, BYTES);
            writer.record(written);
            second.makeCurrent();
            reader.await(written);
            reader.copyFrom(first, to.segment(), from.segment(), BYTES);
            reader.download(seen.segment(), to.segment(), BYTES);
            reader.synchronize();
            assertEquals(5, seen.segment().get(ValueLayout.JAVA_BYTE, BYTES - 1));
        }
        assertEquals(0, EmulatedCuda.left());
    }

    @Test
    void closingFreesEverythingEvenIfTheDriverFails() {
        CudaDevice device = device(Machine.USUAL);
        device.allocate(BYTES, "a");
        device.allocateHost(BYTES, "b");
        device.newStream();
        device.newEvent();
        EmulatedCuda.fail("cuStreamDestroy", 0, 999);
        DeviceException e = assertThrows(DeviceException.class, device::close);
        assertTrue(e.getMessage().contains("cuStreamDestroy failed"), e.getMessage());
        assertEquals(1, EmulatedCuda.left(), "only what could not be freed is left");
        device.close();
    }

    @Test
    void whatIsClosedIsRefused() {
        try (CudaDevice device = device(Machine.USUAL)) {
            CudaStream stream = device.newStream();
            CudaEvent event = device.newEvent();
            DeviceBuffer buffer = device.allocate(BYTES, "latents");
            MemorySegment kept = buffer.segment();
            buffer.close();
            buffer.close();
            IllegalStateException e = assertThrows(IllegalStateException.class, buffer::segment);
            assertEquals("latents of cuda:0 (Emulated) is freed", e.getMessage());
            assertTrue(!kept.scope().isAlive());
            event.close();
            assertThrows(IllegalStateException.class, () -> stream.record(event));
            stream.close();
            assertThrows(IllegalStateException.class, stream::synchronize);
        }
    }

    @Test
    void rangesAreCheckedBeforeTheDriver() {
        try (CudaDevice device = device(Machine.USUAL)) {
            CudaStream stream = device.newStream();
            DeviceBuffer a = device.allocate(BYTES, "a");
            DeviceBuffer host = device.allocateHost(BYTES, "host");
            for (Runnable copy :
                    new Runnable[] {
                        () -> stream.upload(a.segment(), host.segment(), BYTES + 16),
                        () -> stream.download(host.segment(), a.segment(), BYTES + 16),
                        () -> stream.copy(a.segment(), a.segment(), BYTES + 16),
                        () -> stream.copyFrom(device, a.segment(), a.segment(), BYTES + 16),
                        () -> stream.fill(a.segment(), (byte) 0, BYTES + 16)
                    }) {
                IndexOutOfBoundsException e =
                        assertThrows(IndexOutOfBoundsException.class, copy::run);
                assertTrue(e.getMessage().contains("needs 4112"), e.getMessage());
            }
        }
    }

    @Test
    void outOfMemorySaysForWhat() {
        try (CudaDevice device = device(new Machine(1, 13010, 90, 10_000, Order.ASCENDING))) {
            OutOfMemoryException e =
                    assertThrows(
                            OutOfMemoryException.class, () -> device.allocate(10_001, "masks"));
            assertTrue(
                    e.getMessage().startsWith("cuda:0 (Emulated), masks: cuMemAlloc"),
                    e::getMessage);
            assertTrue(e.getMessage().contains("CUDA_ERROR_OUT_OF_MEMORY (2)"), e.getMessage());
            assertEquals(0, device.bytesInUse());
        }
    }

    @Test
    void aLostDeviceIsNamed() {
        CudaDevice device = device(Machine.USUAL);
        CudaStream stream = device.newStream();
        EmulatedCuda.fail("cuStreamSynchronize", 0, 700);
        DeviceException e = assertThrows(DeviceException.class, stream::synchronize);
        assertEquals(
                "cuStreamSynchronize failed: CUDA_ERROR_ILLEGAL_ADDRESS (700): the device's context"
                        + " is lost; this process cannot use it any more",
                e.getMessage());
        device.close();
    }

    @Test
    void oldDriversAndDevicesAreRefused() {
        refused(new Machine(1, 12080, 90, 1000, Order.ASCENDING), 0, "serves CUDA 12.8");
        refused(new Machine(1, 13000, 70, 1000, Order.ASCENDING), 0, "compute capability 7.0");
        refused(new Machine(1, 13000, 90, 1000, Order.ASCENDING), 1, "this machine has 1");
        DeviceException e =
                assertThrows(
                        DeviceException.class,
                        () -> EmulatedCuda.open(new Machine(0, 13000, 90, 1, Order.ASCENDING)));
        assertTrue(e.getMessage().contains("CUDA_ERROR_NO_DEVICE (100)"), e.getMessage());
        assertTrue(e.getMessage().contains("CUDA_VISIBLE_DEVICES"), e.getMessage());
    }

    private static void refused(Machine machine, int ordinal, String message) {
        DeviceException e =
                assertThrows(
                        DeviceException.class,
                        () -> CudaDevice.open(EmulatedCuda.open(machine), ordinal));
        assertTrue(e.getMessage().contains(message), e.getMessage());
    }
}
