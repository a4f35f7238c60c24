// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ffi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.DeviceException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** The order in which OpenVINO's plug-in is looked for, on a made-up machine. */
class OpenVinoLibrariesTest {
    private static final List<String> FILES =
            List.of(
                    "libonnxruntime_providers_openvino_plugin.so",
                    "libopenvino.so.2641",
                    "libopenvino_intel_cpu_plugin.so",
                    "libopenvino_onnx_frontend.so.2641",
                    "libtbb.so.12");

    @TempDir Path root;

    private OpenVinoLibraries libraries(String property, Map<String, String> environment) {
        return new OpenVinoLibraries(
                name -> environment.getOrDefault(name, ""), property, root, root.resolve("home"));
    }

    private Path put(String folder) throws IOException {
        Path made = Files.createDirectories(root.resolve(folder));
        for (String file : FILES) {
            Files.writeString(made.resolve(file), "");
        }
        return made.resolve(FILES.getFirst());
    }

    /** Each place is found, and only when those before it are gone. */
    @Test
    void placesAreTriedInTheDocumentedOrder() throws IOException {
        List<Path> files =
                List.of(
                        put("cache/asg4j/openvino/onnxruntime_ep_openvino"),
                        put("venv/lib/python3.12/site-packages/onnxruntime_ep_openvino"),
                        put("conda/lib/python3.11/site-packages/onnxruntime_ep_openvino"),
                        put("home/.local/lib/python3.11/site-packages/onnxruntime_ep_openvino"),
                        put("usr/local/lib/python3.11/dist-packages/onnxruntime_ep_openvino"));
        Map<String, String> environment =
                Map.of(
                        "XDG_CACHE_HOME", root.resolve("cache").toString(),
                        "VIRTUAL_ENV", root.resolve("venv").toString(),
                        "CONDA_PREFIX", root.resolve("conda").toString());
        for (Path file : files) {
            assertEquals(file, libraries("", environment).find());
            Files.delete(file);
        }
    }

    /** A folder that is named is the only one, whether it holds the libraries or the wheel. */
    @Test
    void namedFolderIsTheOnlyOne() throws IOException {
        put("home/.cache/asg4j/openvino/onnxruntime_ep_openvino");
        Path libraries = put("libraries");
        Path wheel = put("wheel/onnxruntime_ep_openvino");
        Map<String, String> variable = Map.of("ASG_OPENVINO", root.resolve("wheel").toString());
        assertEquals(wheel, libraries("", variable).find());
        assertEquals(libraries, libraries(root.resolve("libraries").toString(), variable).find());
        Map<String, String> empty = Map.of("ASG_OPENVINO", root.resolve("empty").toString());
        DeviceException e = assertThrows(DeviceException.class, () -> libraries("", empty).find());
        assertTrue(
                e.getMessage().contains("was not found in [" + root.resolve("empty") + "]"),
                e.getMessage());
    }

    @Test
    void messageSaysWhatToInstallAndWhere() {
        DeviceException e =
                assertThrows(DeviceException.class, () -> libraries("", Map.of()).find());
        Path folder = root.resolve("home/.cache/asg4j/openvino");
        assertTrue(
                e.getMessage()
                        .contains(
                                "install it with: pip install --no-deps --target "
                                        + folder
                                        + " onnxruntime-ep-openvino==1.8.1"),
                e.getMessage());
        assertTrue(e.getMessage().contains("-Dasg.openvino.path=FOLDER"), e.getMessage());
    }

    @Test
    void whatIsMissingBesideThePluginIsNamed() throws IOException {
        Path plugin = put("some");
        Files.delete(plugin.resolveSibling("libtbb.so.12"));
        DeviceException e =
                assertThrows(
                        DeviceException.class,
                        () -> libraries(root.resolve("some").toString(), Map.of()).find());
        assertTrue(
                e.getMessage()
                        .contains("there is missing {" + root.resolve("some") + "=libtbb.so."),
                e.getMessage());
    }
}
