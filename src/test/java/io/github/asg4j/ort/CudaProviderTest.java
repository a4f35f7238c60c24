// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.asg4j.DeviceException;
import io.github.asg4j.device.CudaDevice;
import io.github.asg4j.device.CudaStream;
import io.github.asg4j.ffi.CudaLibraries;
import io.github.asg4j.ffi.EmulatedCuda;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** What can be known of sessions on a GPU without one: options, libraries, messages. */
class CudaProviderTest {
    private static final List<String> LIBRARIES =
            List.of(
                    "libcudart.so.13",
                    "libcublasLt.so.13",
                    "libcublas.so.13",
                    "libcufft.so.12",
                    "libcudnn.so.9");

    @TempDir Path folder;

    @AfterEach
    void forgetProperties() {
        System.clearProperty(CudaProvider.OPTIONS);
        System.clearProperty(CudaLibraries.PROPERTY);
    }

    private CudaLibraries libraries() {
        System.setProperty(CudaLibraries.PROPERTY, folder.toString());
        return new CudaLibraries();
    }

    @Test
    void everyMissingLibraryIsNamedWithWhatToInstall() throws Exception {
        for (String name : LIBRARIES) {
            DeviceException e =
                    assertThrows(DeviceException.class, () -> CudaProvider.find(libraries()));
            assertTrue(
                    e.getMessage().startsWith(name + " was not found in [" + folder),
                    e::getMessage);
            assertTrue(e.getMessage().contains("; install "), e.getMessage());
            Files.writeString(folder.resolve(name), "");
        }
        for (String part :
                List.of(
                        "graph",
                        "ops",
                        "cnn",
                        "heuristic",
                        "engines_precompiled",
                        "engines_runtime_compiled")) {
            String name = "libcudnn_" + part + ".so.9";
            DeviceException e =
                    assertThrows(DeviceException.class, () -> CudaProvider.find(libraries()));
            assertTrue(
                    e.getMessage().startsWith(name + " was not found beside " + folder),
                    e::getMessage);
            assertTrue(e.getMessage().contains("; install cuDNN 9"), e.getMessage());
            Files.writeString(folder.resolve(name), "");
        }
        assertEquals(
                LIBRARIES.stream().map(folder::resolve).toList(), CudaProvider.find(libraries()));
    }

    @Test
    void runsOnOurStream() {
        Map<String, String> options = CudaProvider.options(1, -2, CudaProvider.NO_LIMIT);
        assertEquals("1", options.get("device_id"));
        assertEquals("1", options.get("has_user_compute_stream"));
        assertEquals("18446744073709551614", options.get("user_compute_stream"));
        assertEquals("HEURISTIC", options.get("cudnn_conv_algo_search"));
        assertFalse(options.containsKey("gpu_mem_limit"));
        Map<String, String> limited = CudaProvider.options(0, 5, 1 << 20);
        assertEquals("1048576", limited.get("gpu_mem_limit"));
        assertEquals("0", limited.get("cudnn_conv_use_max_workspace"));
    }

    @Test
    void optionsCanBeTried() {
        System.setProperty(CudaProvider.OPTIONS, "prefer_nhwc=1, fuse_conv_bias=1");
        Map<String, String> options = CudaProvider.options(0, 5, CudaProvider.NO_LIMIT);
        assertEquals("1", options.get("prefer_nhwc"));
        assertEquals("1", options.get("fuse_conv_bias"));
        assertFalse(CudaProvider.options(0, 0, CudaProvider.NO_LIMIT).containsKey("prefer_nhwc"));
        System.setProperty(CudaProvider.OPTIONS, "prefer_nhwc");
        DeviceException e =
                assertThrows(
                        DeviceException.class,
                        () -> CudaProvider.options(0, 5, CudaProvider.NO_LIMIT));
        assertTrue(e.getMessage().contains("found \"prefer_nhwc\""), e.getMessage());
    }

    @Test
    void aBuildWithoutTheNativesSaysHowToGetThem() {
        assumeTrue(
                CudaProvider.class.getResource(
                                "/org/bytedeco/onnxruntime/linux-x86_64/"
                                        + "libonnxruntime_providers_cuda.so")
                        == null,
                "skipped: this build has the natives");
        try (CudaDevice device = CudaDevice.open(EmulatedCuda.open(EmulatedCuda.Machine.USUAL), 0);
                CudaStream stream = device.newStream()) {
            DeviceException e =
                    assertThrows(
                            DeviceException.class,
                            () -> CudaProvider.on(stream, CudaProvider.NO_LIMIT, libraries()));
            assertTrue(e.getMessage().contains("ASG_GPU=1 ./asg"), e.getMessage());
        }
    }
}
