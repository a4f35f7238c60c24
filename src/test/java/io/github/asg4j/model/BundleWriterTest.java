// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.Lora;
import io.github.asg4j.model.checkpoint.SafeTensors;
import io.github.asg4j.model.checkpoint.SafeTensorsFile;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;

/**
 * Bundles that were written of small checkpoints: their weights are those that PyTorch exports of the same
 * checkpoint. {@code integration.WrittenBundleTest} draws with them.
 */
class BundleWriterTest {
    static final List<String> ALL = SmallCheckpoints.ALL;
    private static final BundleWriter.Title TITLE =
            new BundleWriter.Title(null, null, "asg4j test");

    /** Values below which constants of graphs are more than weights. */
    private static final int SMALLEST = 8;

    @TempDir Path temp;

    private BundleWriter.Written write(Bundle bundle, List<Lora> loras, Path controls)
            throws IOException {
        Path folder = Files.createDirectory(temp.resolve("bundle"));
        ControlFolder networks = ControlFolder.of(controls, null, false);
        try (bundle;
                BundleWriter writer = new BundleWriter(bundle, loras, networks)) {
            long bytes = writer.bytes();
            BundleWriter.Written written = writer.write(folder, TITLE, () -> false);
            long manifest = Files.size(folder.resolve(Manifest.FILE_NAME));
            assertEquals(bytes + manifest, written.bytes());
            assertEquals(written.bytes(), size(folder));
            return written;
        }
    }

    private static long size(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            return files.filter(Files::isRegularFile).mapToLong(f -> f.toFile().length()).sum();
        }
    }

    private Bundle opened() {
        return Bundle.openFolder(temp.resolve("bundle"), new VerifiedFiles(null), true);
    }

    @ParameterizedTest
    @FieldSource("ALL")
    void weightsAreThoseOfTheExportedBundle(String name) throws IOException {
        BundleWriter.Written written = write(SmallCheckpoints.open(name), List.of(), null);
        assertEquals(written.sha256(), opened().bundleSha256());
        assertEquals(written.manifest(), opened().manifest());
        Set<String> graphs = new TreeSet<>();
        for (String file : written.manifest().files().keySet()) {
            Path exported = SmallCheckpoints.exported(name).resolve(file);
            if (file.endsWith(".onnx") && Files.exists(exported)) {
                graphs.add(file);
                requireSame(
                        name + " " + file,
                        OnnxInitializers.of(exported),
                        OnnxInitializers.of(temp.resolve("bundle").resolve(file)));
            }
        }
        assertTrue(graphs.contains("denoiser.onnx"), graphs.toString());
        assertTrue(graphs.contains("text_encoder.onnx"), graphs.toString());
        assertTrue(graphs.contains("vae_decoder.onnx"), graphs.toString());
        if (name.startsWith("sd15")) {
            assertTrue(graphs.contains("vae_encoder.onnx"), graphs.toString());
            assertTrue(graphs.contains("denoiser_dilated.onnx"), graphs.toString());
        }
    }

    /** Each weight has another one's values, bit for bit, in the same or the transposed layout. */
    private static void requireSame(
            String what,
            Map<String, OnnxInitializers.Initializer> exported,
            Map<String, OnnxInitializers.Initializer> written) {
        Set<FloatBuffer> values = new HashSet<>();
        for (OnnxInitializers.Initializer one : written.values()) {
            values.add(FloatBuffer.wrap(one.values()));
            if (one.shape().size() == 2) {
                values.add(FloatBuffer.wrap(one.transposed()));
            }
        }
        int compared = 0;
        Set<String> missing = new TreeSet<>();
        for (var one : exported.entrySet()) {
            if (one.getValue().values().length >= SMALLEST) {
                compared++;
                if (!values.contains(FloatBuffer.wrap(one.getValue().values()))) {
                    missing.add(one.getKey() + one.getValue().shape());
                }
            }
        }
        assertTrue(compared > 10, what + ": " + compared);
        assertEquals(Set.of(), missing, what + ", of " + compared);
    }

    @Test
    void graphsOfOneNetworkShareTheirWeights() throws IOException {
        Manifest manifest = write(SmallCheckpoints.open("sd15"), List.of(), null).manifest();
        Bundle opened = Bundle.openFolder(temp.resolve("bundle"), new VerifiedFiles(null), false);
        for (String graph : List.of("denoiser_dilated.onnx", "vae_tail.onnx", "vae_front.onnx")) {
            String whole = graph.startsWith("vae") ? "vae_decoder.onnx" : "denoiser.onnx";
            long beside = 0;
            for (var weight : OnnxInitializers.of(temp.resolve("bundle/" + graph)).values()) {
                beside += weight.file().equals(whole + ".data") ? weight.values().length : 0;
            }
            assertTrue(beside > 1000, graph + ": " + beside);
            long size = manifest.files().get(graph).bytes();
            assertEquals(size + 2 * beside, opened.graphBytes(graph), graph); // halves
            assertFalse(manifest.files().containsKey(graph + ".data"), graph);
        }
        for (var weight : OnnxInitializers.of(temp.resolve("bundle/denoiser.onnx")).entrySet()) {
            boolean small = weight.getValue().values().length < 128; // 256 bytes in halves
            String file = "denoiser.onnx" + (small ? "" : ".data");
            assertEquals(file, weight.getValue().file(), weight.getKey());
        }
    }

    @Test
    void theManifestSaysWhereTheWeightsAreFrom() throws IOException {
        Manifest manifest = write(SmallCheckpoints.open("sd15"), List.of(), null).manifest();
        Path file = SmallCheckpoints.place("sd15");
        String hash = Bundle.fileHash(file, new VerifiedFiles(null), true);
        assertEquals(
                new Provenance(Map.of("sd15.safetensors", hash), null, List.of()),
                manifest.source());
        assertEquals("sd15", manifest.name());
        assertEquals("not stated by sd15.safetensors", manifest.licence());
        assertEquals("asg4j test", manifest.madeBy());
        assertTrue(
                manifest.files().keySet().stream()
                        .noneMatch(f -> f.endsWith(".json") && !f.equals("tokenizer.json")),
                manifest.files().keySet().toString());
    }

    @Test
    void aFoldersFilesAreNamedByTheirPlaceInIt() throws IOException {
        Manifest manifest = write(SmallCheckpoints.open("sdxl"), List.of(), null).manifest();
        assertEquals(
                Set.of(
                        "text_encoder/model.safetensors",
                        "text_encoder_2/model.safetensors",
                        "unet/diffusion_pytorch_model.safetensors",
                        "vae/diffusion_pytorch_model.safetensors"),
                manifest.source().files().keySet());
    }

    /** The header's licence, and the title's before it. */
    @Test
    void theLicenceIsWhatTheFileSaysOrWhatIsGiven() throws IOException {
        SafeTensorsFile copy = new SafeTensorsFile().metadata("modelspec.license", "CC0-1.0");
        try (SafeTensors file = SafeTensors.open(SmallCheckpoints.place("sd15"))) {
            file.tensors()
                    .forEach(
                            (name, t) ->
                                    copy.tensor(
                                            name,
                                            "F16",
                                            t.shape(),
                                            t.data().toArray(ValueLayout.JAVA_BYTE)));
        }
        Path file = copy.write(temp.resolve("licensed.safetensors"));
        Bundle bundle = SmallFiles.bundle(file, SmallFiles.sd15());
        ControlFolder none = ControlFolder.of(null, null, false);
        try (bundle;
                BundleWriter writer = new BundleWriter(bundle, List.of(), none)) {
            Path first = Files.createDirectory(temp.resolve("first"));
            assertEquals("CC0-1.0", writer.write(first, TITLE, () -> false).manifest().licence());
            Path second = Files.createDirectory(temp.resolve("second"));
            Manifest given =
                    writer.write(
                                    second,
                                    new BundleWriter.Title("mine", "MIT", "asg4j test"),
                                    () -> false)
                            .manifest();
            assertEquals("MIT", given.licence());
            assertEquals("mine", given.name());
        }
    }

    @Test
    void loraFilesAreMergedAndNamed() throws IOException {
        Path file = Path.of("src/test/resources/checkpoint/lora/kohya.safetensors");
        Lora lora = new Lora(file, 0.5);
        Manifest manifest = write(SmallCheckpoints.open("sd15"), List.of(lora), null).manifest();
        String hash = Bundle.fileHash(file, new VerifiedFiles(null), true);
        assertEquals(
                List.of(new Provenance.MergedLora("kohya.safetensors", hash, 0.5)),
                manifest.source().loras());
        Manifest plain = SmallCheckpoints.open("sd15").manifest();
        long changed = manifest.files().get("denoiser.onnx.data").bytes();
        assertTrue(changed > plain.files().get("denoiser.onnx").bytes() / 2, "" + changed);
    }

    @Test
    void controlNetworksAreCopied() throws IOException {
        Path networks = Path.of("src/test/resources/families/controlnets/sd15");
        write(SmallCheckpoints.open("sd15"), List.of(), networks);
        ControlFolder given = ControlFolder.of(networks, null, false);
        ControlFolder copied = ControlFolder.of(null, temp.resolve("bundle"), true);
        assertFalse(given.names().isEmpty());
        assertEquals(given.described(), copied.described());
    }

    @Test
    void aBundleIsNotWrittenAgain() {
        Bundle bundle =
                Bundle.openFolder(
                        SmallCheckpoints.exported("sd15"), new VerifiedFiles(null), false);
        String message =
                assertThrows(
                                BadRequestException.class,
                                () ->
                                        new BundleWriter(
                                                bundle,
                                                List.of(),
                                                ControlFolder.of(null, null, false)))
                        .getMessage();
        assertTrue(message.contains("is a bundle already: copy the folder"), message);
    }

    @Test
    void writingCanBeCancelled() throws IOException {
        Path folder = Files.createDirectory(temp.resolve("bundle"));
        ControlFolder none = ControlFolder.of(null, null, false);
        try (Bundle bundle = SmallCheckpoints.open("sd15");
                BundleWriter writer = new BundleWriter(bundle, List.of(), none)) {
            assertThrows(CancelledException.class, () -> writer.write(folder, TITLE, () -> true));
            assertFalse(Files.exists(folder.resolve(Manifest.FILE_NAME)));
        }
    }
}
