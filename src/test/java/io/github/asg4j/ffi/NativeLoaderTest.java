// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ffi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Stream;

/** What goes wrong with a native library is said with its remedy, and none is bound by halves. */
class NativeLoaderTest {
    private static final String RESOURCE = NativeLoader.FOLDER + "linux-x86_64/libasg_cpu.so";

    @TempDir Path folder;

    @BeforeEach
    void needsTheLibrary() {
        assumeTrue(CpuLibrary.built(), "skipped: this build has no native kernels");
    }

    private static URL library() {
        return Objects.requireNonNull(NativeLoader.class.getResource(RESOURCE), RESOURCE);
    }

    /** Where the build had the tools, a library that does not load is a broken build. */
    @Test
    void aLibraryThatWasBuiltLoads() {
        assertTrue(CpuLibrary.available(), CpuLibrary::failure);
        assertEquals("", CpuLibrary.failure());
    }

    @Test
    void temporaryCopyIsDeleted() throws Exception {
        SymbolLookup symbols = NativeLoader.extract(library(), RESOURCE, folder);
        assertTrue(symbols.find("asg_abi_version").isPresent());
        try (Stream<Path> left = Files.list(folder)) {
            assertEquals(0, left.count());
        }
    }

    @Test
    void missingResourceNamesReasonAndRemedy() {
        String message = failure(() -> NativeLoader.extract(null, RESOURCE, folder));
        assertTrue(message.contains(RESOURCE) && message.contains("C++ compiler"), message);
        assertTrue(message.contains("-Dasg.native.path"), message);
    }

    @Test
    void folderThatCannotBeWrittenNamesTheProperty() {
        String message =
                failure(() -> NativeLoader.extract(library(), RESOURCE, folder.resolve("absent")));
        assertTrue(message.contains("absent") && message.contains("-Djava.io.tmpdir"), message);
    }

    /** As a folder mounted noexec does: the copy is there and cannot be opened. */
    @Test
    void copyThatCannotBeOpenedNamesNoexec() throws IOException {
        Path broken = Files.writeString(folder.resolve("broken.so"), "not a library");
        String message =
                failure(() -> NativeLoader.extract(broken.toUri().toURL(), RESOURCE, folder));
        assertTrue(message.contains("noexec") && message.contains("-Djava.io.tmpdir"), message);
    }

    @Test
    void explicitPathIsTheOnlyOneTried() throws Exception {
        String before = System.getProperty(NativeLoader.PATH_PROPERTY);
        try {
            System.setProperty(NativeLoader.PATH_PROPERTY, folder.resolve("no.so").toString());
            String message = failure(NativeLoader::load);
            assertTrue(message.contains("no.so is not a file"), message);
            Path copy = folder.resolve("mine.so");
            try (var in = library().openStream()) {
                Files.copy(in, copy);
            }
            System.setProperty(NativeLoader.PATH_PROPERTY, copy.toString());
            assertEquals(copy.toString(), NativeLoader.load().origin());
        } finally {
            if (before == null) {
                System.clearProperty(NativeLoader.PATH_PROPERTY);
            } else {
                System.setProperty(NativeLoader.PATH_PROPERTY, before);
            }
        }
    }

    @Test
    void oneMissingSymbolDisablesTheLibrary() throws Exception {
        SymbolLookup whole = NativeLoader.load().symbols();
        assertEquals(
                "the native library has no asg_rgb8_f32; use the library of the same build",
                failure(
                        () ->
                                CpuLibrary.bind(
                                        name ->
                                                name.equals("asg_rgb8_f32")
                                                        ? Optional.empty()
                                                        : whole.find(name))));
    }

    /** The C library's getpid stands in for a library that answers another number. */
    @Test
    void anotherVersionIsRefusedWithBothNumbers() throws Exception {
        SymbolLookup whole = NativeLoader.load().symbols();
        SymbolLookup other =
                name ->
                        name.equals("asg_abi_version")
                                ? Linker.nativeLinker().defaultLookup().find("getpid")
                                : whole.find(name);
        String message = failure(() -> CpuLibrary.bind(other));
        assertTrue(
                message.contains("has ABI version " + ProcessHandle.current().pid())
                        && message.contains("needs " + CpuLibrary.ABI_VERSION),
                message);
    }

    @Test
    void statusesHaveNames() {
        assertEquals("ASG_OK", CpuLibrary.statusName(0));
        assertEquals("ASG_BAD_EXTENT", CpuLibrary.statusName(-2));
        assertEquals("unknown status", CpuLibrary.statusName(-99));
    }

    /** What Java did not check the library does, and the exception says what was asked for. */
    @Test
    void statusBecomesAnException() {
        IllegalStateException e =
                assertThrows(
                        IllegalStateException.class,
                        () ->
                                CpuLibrary.combine(
                                        CpuLibrary.SCALAR,
                                        MemorySegment.NULL,
                                        MemorySegment.NULL,
                                        MemorySegment.NULL,
                                        MemorySegment.NULL,
                                        12,
                                        1));
        assertEquals(
                "asg_combine_f32 returned -1 (ASG_NULL_POINTER) for count = [12]", e.getMessage());
        IllegalStateException tier =
                assertThrows(
                        IllegalStateException.class,
                        () -> CpuLibrary.firstNonFinite(9, MemorySegment.NULL, 1));
        assertTrue(tier.getMessage().contains("ASG_UNKNOWN_TIER"), tier.getMessage());
    }

    /** The library and /proc/cpuinfo agree on what this machine can run. */
    @Test
    void supportedTiersAreThoseOfTheCpu() throws IOException {
        String flags =
                Files.readAllLines(Path.of("/proc/cpuinfo")).stream()
                                .filter(line -> line.startsWith("flags"))
                                .findFirst()
                                .orElse("")
                        + " ";
        assertEquals(1, CpuLibrary.tierSupported(CpuLibrary.SCALAR));
        assertEquals(flags.contains(" avx2 ") ? 1 : 0, CpuLibrary.tierSupported(CpuLibrary.AVX2));
        boolean avx512 =
                Stream.of("avx512f", "avx512dq", "avx512bw", "avx512vl")
                        .allMatch(flag -> flags.contains(" " + flag + " "));
        assertEquals(avx512 ? 1 : 0, CpuLibrary.tierSupported(CpuLibrary.AVX512));
        assertFalse(CpuLibrary.tierSupported(3) >= 0);
    }

    private interface Load {
        Object load() throws Exception;
    }

    private static String failure(Load load) {
        return String.valueOf(assertThrows(NativeLoadException.class, load::load).getMessage());
    }
}
