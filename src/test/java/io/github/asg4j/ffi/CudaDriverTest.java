// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ffi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.asg4j.DeviceException;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

import java.nio.file.Files;
import java.nio.file.Path;

/** Opening the driver, and the calls that no test of devices makes. */
class CudaDriverTest {
    @AfterEach
    void forgetThePath() {
        System.clearProperty(CudaDriver.PATH_PROPERTY);
    }

    @Test
    void withoutADriverTheMessageSaysWhatToInstall() {
        assumeTrue(!Files.exists(Path.of("/dev/nvidiactl")), "skipped: this machine has a GPU");
        DeviceException e = assertThrows(DeviceException.class, CudaDriver::open);
        assertTrue(e.getMessage().startsWith("no NVIDIA driver: libcuda.so.1"), e.getMessage());
        assertTrue(e.getMessage().contains("580 or newer"), e.getMessage());
    }

    @Test
    void thePropertyNamesAnotherDriver() {
        System.setProperty(
                CudaDriver.PATH_PROPERTY,
                EmulatedCuda.install(EmulatedCuda.Machine.USUAL).toString());
        assertEquals(2, CudaDriver.open().deviceCount());
        System.setProperty(CudaDriver.PATH_PROPERTY, "no/such/libcuda.so");
        DeviceException e = assertThrows(DeviceException.class, CudaDriver::open);
        assertTrue(e.getMessage().contains("-Dasg.cuda.driver"), e.getMessage());
    }

    @Test
    void aLibraryThatIsNoDriverIsRefused() {
        System.setProperty(CudaDriver.PATH_PROPERTY, "libm.so.6");
        DeviceException e = assertThrows(DeviceException.class, CudaDriver::open);
        assertTrue(e.getMessage().contains("has no cuGetErrorName"), e.getMessage());
    }

    @Test
    void errorsThatTheDriverDoesNotNameKeepTheirNumber() {
        CudaDriver driver = EmulatedCuda.open(EmulatedCuda.Machine.USUAL);
        EmulatedCuda.fail("cuDeviceGetCount", 1, 4242);
        assertEquals(2, driver.deviceCount());
        DeviceException e = assertThrows(DeviceException.class, driver::deviceCount);
        assertEquals("cuDeviceGetCount failed: unknown error (4242)", e.getMessage());
    }

    @Test
    void eventsTellTimeAndWhetherTheyAreDone() {
        CudaDriver driver = EmulatedCuda.open(EmulatedCuda.Machine.USUAL);
        driver.setCurrent(driver.retainPrimaryContext(0));
        long stream = driver.createStream();
        long start = driver.createEvent(true);
        long end = driver.createEvent(true);
        driver.recordEvent(start, stream);
        assertThrows(DeviceException.class, () -> driver.elapsedMillis(start, end), "not recorded");
        driver.recordEvent(end, stream);
        driver.synchronizeEvent(end);
        assertTrue(driver.queryEvent(end));
        EmulatedCuda.fail("cuEventQuery", 0, 600);
        assertFalse(driver.queryEvent(end), "CUDA_ERROR_NOT_READY is no failure");
        assertEquals(0.25f, driver.elapsedMillis(start, end));
        long untimed = driver.createEvent(false);
        assertThrows(DeviceException.class, () -> driver.elapsedMillis(start, untimed));
    }
}
