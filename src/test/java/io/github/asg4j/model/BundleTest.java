// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.device.Memory;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.OutputStream;
import java.lang.foreign.ValueLayout;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/** Whole bundles open from a folder and from a jar; damaged or escaping ones do not. */
class BundleTest {
    private static final String PREFIX = "some/model/";

    @TempDir Path temp;
    private FakeBundle fake;
    private Path folder;
    private Path note;

    @BeforeEach
    void makeBundle() throws IOException {
        fake = new FakeBundle();
        folder = Files.createDirectory(temp.resolve("bundle"));
        note = temp.resolve("cache").resolve("asg4j").resolve("verified");
    }

    private Bundle open() {
        return Bundle.openFolder(folder, new VerifiedFiles(note), false);
    }

    private String refusal() {
        return assertThrows(BadBundleException.class, this::open).getMessage();
    }

    private static void says(String message, String... fragments) {
        for (String fragment : fragments) {
            assertTrue(message.contains(fragment), '"' + fragment + "\" is not in: " + message);
        }
    }

    private String graphRefusal(String name) {
        Bundle bundle = open();
        try (Memory memory = new Memory("test")) {
            return assertThrows(BadBundleException.class, () -> bundle.graph(name, memory))
                    .getMessage();
        }
    }

    @Test
    void withoutTheDemosJarTheMessageNamesItsArtifact() throws IOException {
        try (URLClassLoader loader = new URLClassLoader(new URL[0], null)) {
            says(
                    assertThrows(
                                    BadBundleException.class,
                                    () ->
                                            Bundle.openDemo(
                                                    loader, false, new VerifiedFiles(note), false))
                            .getMessage(),
                    "io.github.asg4j:asg4j, classifier demo",
                    "EngineOptions.withModel");
        }
    }

    @Test
    void folderIsReadInPlace() throws IOException {
        fake.writeTo(folder);
        Bundle bundle = open();
        assertEquals("demo", bundle.manifest().name());
        assertArrayEquals(fake.files.get("tokenizer.json"), bundle.read("tokenizer.json"));
        assertEquals(807, bundle.tokenizer(0).idLimit());
        try (Memory memory = new Memory("test")) {
            assertEquals(
                    new ModelFile.Stored(
                            "denoiser.onnx",
                            folder.toRealPath().resolve("denoiser.onnx"),
                            List.of(folder.toRealPath().resolve("denoiser.weights"))),
                    bundle.graph("denoiser.onnx", memory));
            assertEquals(0, memory.bytes());
        }
        assertThrows(IllegalArgumentException.class, () -> bundle.read("unlisted"));
    }

    @Test
    void subfoldersAndLinksInsideAreFine() throws IOException {
        fake.files.put("unet/model.onnx", FakeBundle.model(FakeBundle.tensor("w.bin")));
        fake.files.put("unet/w.bin", new byte[4]);
        fake.writeTo(folder);
        Files.move(folder.resolve("vae_decoder.onnx"), folder.resolve("kept.onnx"));
        Files.createSymbolicLink(folder.resolve("vae_decoder.onnx"), Path.of("kept.onnx"));
        Path link = Files.createSymbolicLink(temp.resolve("link"), folder);
        Bundle bundle = Bundle.openFolder(link, new VerifiedFiles(note), false);
        try (Memory memory = new Memory("test")) {
            ModelFile unet = bundle.graph("unet/model.onnx", memory);
            assertEquals(
                    List.of(folder.toRealPath().resolve("unet/w.bin")),
                    assertInstanceOf(ModelFile.Stored.class, unet).external());
            bundle.graph("vae_decoder.onnx", memory);
        }
    }

    @Test
    void jarIsReadIntoMemory() throws IOException {
        fake.files.put("denoiser.onnx", FakeBundle.model(FakeBundle.tensor()));
        try (URLClassLoader loader = jar(temp.resolve("b.jar"))) {
            Bundle bundle =
                    Bundle.openResources(loader, List.of(PREFIX), new VerifiedFiles(note), false);
            assertEquals(807, bundle.tokenizer(0).idLimit());
            try (Memory memory = new Memory("test")) {
                ModelFile.Loaded loaded =
                        assertInstanceOf(
                                ModelFile.Loaded.class, bundle.graph("denoiser.onnx", memory));
                assertArrayEquals(
                        fake.files.get("denoiser.onnx"),
                        loaded.bytes().toArray(ValueLayout.JAVA_BYTE));
            }
            assertEquals(fake.files.size(), new VerifiedFiles(note).read().size());
            try (Stream<Path> made = Files.list(temp)) {
                assertEquals(3, made.count(), "nothing is unpacked: b.jar, bundle, cache");
            }
        }
    }

    @Test
    void externalDataInAJarIsReadBesideItsGraph() throws IOException {
        try (URLClassLoader loader = jar(temp.resolve("b.jar"));
                Memory memory = new Memory("test")) {
            Bundle bundle =
                    Bundle.openResources(loader, List.of(PREFIX), new VerifiedFiles(note), false);
            ModelFile.Loaded graph =
                    assertInstanceOf(ModelFile.Loaded.class, bundle.graph("denoiser.onnx", memory));
            assertEquals(Set.of("denoiser.weights"), graph.externalData().keySet());
            assertArrayEquals(
                    new byte[] {1, 2, 3},
                    graph.externalData().get("denoiser.weights").toArray(ValueLayout.JAVA_BYTE));
        }
        fake.files.put("vae_decoder.onnx", FakeBundle.model(FakeBundle.tensor("other.bin")));
        try (URLClassLoader loader = jar(temp.resolve("c.jar"));
                Memory memory = new Memory("test")) {
            Bundle bundle =
                    Bundle.openResources(loader, List.of(PREFIX), new VerifiedFiles(note), false);
            BadBundleException e =
                    assertThrows(
                            BadBundleException.class,
                            () -> bundle.graph("vae_decoder.onnx", memory));
            says(e.getMessage(), "vae_decoder.onnx", "other.bin", "is not listed in files");
        }
    }

    @Test
    void damageInAJarIsFound() throws IOException {
        fake.recordedInstead.put("denoiser.weights", new byte[] {1, 2, 4});
        try (URLClassLoader loader = jar(temp.resolve("b.jar"))) {
            BadBundleException e =
                    assertThrows(
                            BadBundleException.class,
                            () ->
                                    Bundle.openResources(
                                            loader,
                                            List.of(PREFIX),
                                            new VerifiedFiles(note),
                                            false));
            says(e.getMessage(), "resource some/model/denoiser.weights", "SHA-256");
            e =
                    assertThrows(
                            BadBundleException.class,
                            () ->
                                    Bundle.openResources(
                                            loader,
                                            List.of("nothing/"),
                                            new VerifiedFiles(note),
                                            false));
            says(e.getMessage(), "nothing/manifest.json is missing");
        }
    }

    private URLClassLoader jar(Path path) throws IOException {
        try (OutputStream out = Files.newOutputStream(path);
                ZipOutputStream zip = new ZipOutputStream(out)) {
            Map<String, byte[]> all = new java.util.TreeMap<>(fake.files);
            all.put(Manifest.FILE_NAME, fake.manifest().getBytes(StandardCharsets.UTF_8));
            for (Map.Entry<String, byte[]> file : all.entrySet()) {
                zip.putNextEntry(new ZipEntry(PREFIX + file.getKey()));
                zip.write(file.getValue());
                zip.closeEntry();
            }
        }
        return new URLClassLoader(new URL[] {path.toUri().toURL()}, null);
    }

    @Test
    void missingThingsSayHowToMakeThem() throws IOException {
        says(refusal(), "manifest.json is missing", "asg4j-export model CHECKPOINT --out");
        fake.writeTo(folder);
        Files.delete(folder.resolve("vae_decoder.onnx"));
        says(refusal(), "vae_decoder.onnx is missing", "asg4j-export model");
        folder = temp.resolve("nowhere");
        says(refusal(), "nowhere is not a folder", "asg4j-export model");
    }

    @Test
    void folderInPlaceOfAFileIsMissing() throws IOException {
        fake.writeTo(folder);
        Files.delete(folder.resolve("vae_decoder.onnx"));
        Files.createDirectory(folder.resolve("vae_decoder.onnx"));
        says(refusal(), "vae_decoder.onnx is missing");
    }

    @Test
    void aFileOfAnotherSizeIsRefused() throws IOException {
        fake.recordedInstead.put("denoiser.weights", new byte[4]);
        fake.writeTo(folder);
        says(refusal(), "denoiser.weights has 3 bytes", "records 4", "incomplete");
    }

    @Test
    void aFileOfAnotherHashIsRefused() throws IOException {
        fake.recordedInstead.put("denoiser.weights", new byte[] {1, 2, 4});
        fake.writeTo(folder);
        says(
                refusal(),
                "denoiser.weights: its SHA-256 is " + FakeBundle.sha256(new byte[] {1, 2, 3}),
                "records " + FakeBundle.sha256(new byte[] {1, 2, 4}));
    }

    @Test
    void aLinkThatLeavesTheFolderIsRefused() throws IOException {
        fake.writeTo(folder);
        Path outside = Files.move(folder.resolve("denoiser.weights"), temp.resolve("outside"));
        Files.createSymbolicLink(folder.resolve("denoiser.weights"), outside);
        says(refusal(), "denoiser.weights", "symbolic link", "outside of the bundle");
    }

    @Test
    void externalDataThatLeavesTheFolderIsRefused() throws IOException {
        Files.write(temp.resolve("secret"), new byte[4]);
        for (String location :
                List.of("../secret", temp.resolve("secret").toString(), "a\\b", "", "x/../y")) {
            fake.files.put("vae_decoder.onnx", FakeBundle.model(FakeBundle.tensor(location)));
            fake.writeTo(folder);
            says(graphRefusal("vae_decoder.onnx"), "vae_decoder.onnx", '"' + location + "\": the");
        }
    }

    @Test
    void externalDataThatIsNotListedIsRefused() throws IOException {
        fake.files.put("vae_decoder.onnx", FakeBundle.model(FakeBundle.tensor("other.bin")));
        fake.writeTo(folder);
        Files.write(folder.resolve("other.bin"), new byte[4]);
        says(graphRefusal("vae_decoder.onnx"), "other.bin", "is not listed in files");
    }

    /** A location by which ONNX Runtime would read any address of the process. */
    @Test
    void externalDataInMemory() throws IOException {
        String address = "*/_ORT_MEM_ADDR_/*";
        fake.files.put("vae_decoder.onnx", FakeBundle.model(FakeBundle.tensor(address)));
        fake.files.put(address, new byte[4]);
        fake.writeTo(folder);
        says(graphRefusal("vae_decoder.onnx"), "_ORT_MEM_ADDR_", "holds a *");
    }

    @Test
    void aTruncatedGraphIsRefused() throws IOException {
        byte[] whole = FakeBundle.model(FakeBundle.tensor());
        fake.files.put("vae_decoder.onnx", java.util.Arrays.copyOf(whole, whole.length - 9));
        fake.writeTo(folder);
        says(graphRefusal("vae_decoder.onnx"), "vae_decoder.onnx: not a whole ONNX model");
        fake.files.put("vae_decoder.onnx", new byte[0]);
        fake.writeTo(folder);
        says(graphRefusal("vae_decoder.onnx"), "it holds no graph");
    }

    @Test
    void bundleHashFollowsManifestAndFiles() throws IOException {
        fake.writeTo(folder);
        String first = open().bundleSha256();
        assertTrue(first.matches("[0-9a-f]{64}"));
        assertEquals(first, open().bundleSha256());
        fake.files.put("denoiser.weights", new byte[] {9, 9, 9});
        fake.writeTo(folder);
        assertNotEquals(first, open().bundleSha256());
    }

    /** Same size and time, other bytes: only a hash that is computed again can tell. */
    private void damageInSecret() throws IOException {
        Path weights = folder.resolve("denoiser.weights");
        FileTime time = Files.getLastModifiedTime(weights);
        Files.write(weights, new byte[] {3, 2, 1});
        Files.setLastModifiedTime(weights, time);
    }

    @Test
    void hashesAreRememberedUntilVerifyOrAChange() throws IOException {
        fake.writeTo(folder);
        open();
        damageInSecret();
        open();
        BadBundleException forced =
                assertThrows(
                        BadBundleException.class,
                        () -> Bundle.openFolder(folder, new VerifiedFiles(note), true));
        says(forced.getMessage(), "SHA-256");
        Files.setLastModifiedTime(
                folder.resolve("denoiser.weights"), FileTime.fromMillis(1_700_000_000_000L));
        says(refusal(), "SHA-256");
    }

    @Test
    void otherHashInTheManifestIsNotTheRememberedOne() throws IOException {
        fake.writeTo(folder);
        open();
        fake.recordedInstead.put("denoiser.weights", new byte[] {1, 2, 4});
        Files.writeString(folder.resolve(Manifest.FILE_NAME), fake.manifest());
        says(refusal(), "SHA-256");
    }

    @Test
    void damagedNoteMeansHashingAgain() throws IOException {
        fake.writeTo(folder);
        open();
        damageInSecret();
        String sha = FakeBundle.sha256(new byte[] {1, 2, 3});
        for (String text :
                List.of("", "\n\n", "garbage", sha + "\tx\ty\tz", sha + "\t3", "\u0000\uFFFF")) {
            Files.writeString(note, text);
            says(refusal(), "SHA-256");
        }
        Files.delete(note);
        Files.createDirectory(note);
        says(refusal(), "SHA-256");
    }

    @Test
    void noteThatCannotBeWrittenDoesNotMatter() throws IOException {
        fake.writeTo(folder);
        Files.writeString(temp.resolve("cache"), "a file where a folder should be");
        open();
        Bundle.openFolder(folder, new VerifiedFiles(null), false);
        fake.files.put("denoiser.weights", new byte[] {1, 2, 4});
        Files.write(folder.resolve("denoiser.weights"), new byte[] {1, 2, 4});
        says(refusal(), "SHA-256");
    }

    @Test
    void noteIsWholeHoweverManyWriteIt() throws Exception {
        List<Thread> writers = new ArrayList<>();
        for (int w = 0; w < 4; w++) {
            int writer = w;
            writers.add(
                    Thread.ofPlatform()
                            .start(
                                    () -> {
                                        for (int i = 0; i < 25; i++) {
                                            new VerifiedFiles(note).add(entry("/w" + writer, i));
                                        }
                                    }));
        }
        for (Thread writer : writers) {
            writer.join();
        }
        for (String line : Files.readAllLines(note)) {
            assertTrue(line.matches("0{64}\t\\d+\t5\t/w\\d"), line);
        }
        try (Stream<Path> left = Files.list(note.getParent())) {
            assertEquals(List.of(note), left.toList());
        }
        new VerifiedFiles(note).add(entry("/w0", 77));
        assertTrue(new VerifiedFiles(note).read().containsKey(state("/w0", 77)));
    }

    private static VerifiedFiles.State state(String path, long bytes) {
        return new VerifiedFiles.State(path, bytes, 5);
    }

    private static Map<VerifiedFiles.State, String> entry(String path, long bytes) {
        return Map.of(state(path, bytes), "0".repeat(64));
    }
}
