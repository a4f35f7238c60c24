// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ffi;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * NVIDIA's run-time compiler for CUDA C++: source text to machine code of one GPU architecture. It
 * needs neither a GPU nor a driver nor CUDA's headers. Thread-safe; the library stays open until the
 * process ends.
 */
public final class Nvrtc {
    /** The library's name; 13 is the version of its interface. */
    public static final String LIBRARY = "libnvrtc.so.13";

    private static final long TEXT_BYTES = 256;

    private final Path path;
    private final MethodHandle version;
    private final MethodHandle errorString;
    private final MethodHandle createProgram;
    private final MethodHandle compileProgram;
    private final MethodHandle cubinSize;
    private final MethodHandle cubin;
    private final MethodHandle logSize;
    private final MethodHandle log;
    private final MethodHandle destroyProgram;

    /**
     * What compiling gave.
     *
     * @param cubin machine code; empty if it failed
     * @param error empty, or the name of NVRTC's error
     * @param log warnings, errors, and what ptxas printed
     */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    public record Result(byte[] cubin, String error, String log) {}

    /**
     * Opens the library at {@code path}, and its built-ins beside it.
     *
     * @throws NativeLoadException if it cannot be opened or lacks a function
     */
    public Nvrtc(Path path) throws NativeLoadException {
        this.path = path;
        openBuiltins(path);
        SymbolLookup symbols = open(path);
        version = function(symbols, "nvrtcVersion", ADDRESS, ADDRESS);
        createProgram =
                function(
                        symbols,
                        "nvrtcCreateProgram",
                        ADDRESS,
                        ADDRESS,
                        ADDRESS,
                        JAVA_INT,
                        ADDRESS,
                        ADDRESS);
        compileProgram = function(symbols, "nvrtcCompileProgram", ADDRESS, JAVA_INT, ADDRESS);
        cubinSize = function(symbols, "nvrtcGetCUBINSize", ADDRESS, ADDRESS);
        cubin = function(symbols, "nvrtcGetCUBIN", ADDRESS, ADDRESS);
        logSize = function(symbols, "nvrtcGetProgramLogSize", ADDRESS, ADDRESS);
        log = function(symbols, "nvrtcGetProgramLog", ADDRESS, ADDRESS);
        destroyProgram = function(symbols, "nvrtcDestroyProgram", ADDRESS);
        errorString =
                link(symbols, "nvrtcGetErrorString", FunctionDescriptor.of(ADDRESS, JAVA_INT));
    }

    /** NVRTC asks the system for its built-ins by name alone; once open, they are found. */
    private static void openBuiltins(Path library) throws NativeLoadException {
        Path folder = library.toAbsolutePath().getParent();
        if (folder == null) {
            return;
        }
        try (DirectoryStream<Path> files =
                Files.newDirectoryStream(folder, "libnvrtc-builtins.so.[0-9]*")) {
            for (Path file : files) {
                open(file);
            }
        } catch (IOException e) {
            throw new NativeLoadException(folder + " cannot be read: " + e, e);
        }
    }

    @SuppressWarnings("restricted")
    private static SymbolLookup open(Path file) throws NativeLoadException {
        try {
            return SymbolLookup.libraryLookup(file, Arena.global());
        } catch (IllegalArgumentException e) {
            throw new NativeLoadException(file + " cannot be opened", e);
        } catch (IllegalCallerException e) {
            throw new NativeLoadException(
                    "this JVM does not allow native code; start it with"
                            + " --enable-native-access=ALL-UNNAMED",
                    e);
        }
    }

    private static MethodHandle function(
            SymbolLookup symbols, String name, MemoryLayout... arguments)
            throws NativeLoadException {
        return link(symbols, name, FunctionDescriptor.of(JAVA_INT, arguments));
    }

    private static MethodHandle link(
            SymbolLookup symbols, String name, FunctionDescriptor descriptor)
            throws NativeLoadException {
        return NativeLoader.link(symbols, "NVRTC", name, descriptor, "use CUDA 13's");
    }

    public Path path() {
        return path;
    }

    /** Returns the version, such as "13.1". */
    public String version() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment major = arena.allocate(JAVA_INT);
            MemorySegment minor = arena.allocate(JAVA_INT);
            check("nvrtcVersion", call(version, major, minor));
            return major.get(JAVA_INT, 0) + "." + minor.get(JAVA_INT, 0);
        }
    }

    /**
     * Compiles one source.
     *
     * @param name for messages
     * @param headers texts of the files that it includes, by name
     */
    public Result compile(
            String name, String source, Map<String, String> headers, List<String> options) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment handle = arena.allocate(ADDRESS);
            List<Map.Entry<String, String>> files = List.copyOf(headers.entrySet());
            check(
                    "nvrtcCreateProgram",
                    create(
                            handle,
                            arena.allocateFrom(source),
                            arena.allocateFrom(name),
                            files.size(),
                            strings(arena, files.stream().map(Map.Entry::getValue).toList()),
                            strings(arena, files.stream().map(Map.Entry::getKey).toList())));
            MemorySegment program = handle.get(ADDRESS, 0);
            try {
                int status = compile(program, options.size(), strings(arena, options));
                String text = log(arena, program);
                return status == 0
                        ? new Result(cubin(arena, program), "", text)
                        : new Result(new byte[0], errorName(status), text);
            } finally {
                check("nvrtcDestroyProgram", call(destroyProgram, handle));
            }
        }
    }

    private static MemorySegment strings(Arena arena, List<String> texts) {
        MemorySegment array = arena.allocate(ADDRESS, Math.max(1, texts.size()));
        for (int i = 0; i < texts.size(); i++) {
            array.setAtIndex(ADDRESS, i, arena.allocateFrom(texts.get(i)));
        }
        return array;
    }

    private byte[] cubin(Arena arena, MemorySegment program) {
        MemorySegment size = arena.allocate(JAVA_LONG);
        check("nvrtcGetCUBINSize", call(cubinSize, program, size));
        MemorySegment code = arena.allocate(size.get(JAVA_LONG, 0));
        check("nvrtcGetCUBIN", call(cubin, program, code));
        return code.toArray(ValueLayout.JAVA_BYTE);
    }

    private String log(Arena arena, MemorySegment program) {
        MemorySegment size = arena.allocate(JAVA_LONG);
        check("nvrtcGetProgramLogSize", call(logSize, program, size));
        MemorySegment text = arena.allocate(Math.max(1, size.get(JAVA_LONG, 0)));
        check("nvrtcGetProgramLog", call(log, program, text));
        return text.getString(0).strip();
    }

    private void check(String operation, int status) {
        if (status != 0) {
            throw new IllegalStateException(
                    operation + " failed: " + errorName(status) + " (" + path + ")");
        }
    }

    @SuppressWarnings("restricted")
    private String errorName(int status) {
        MemorySegment text;
        try {
            text = (MemorySegment) errorString.invokeExact(status);
        } catch (Throwable e) {
            throw unexpected(e);
        }
        return text.reinterpret(TEXT_BYTES).getString(0) + " (" + status + ")";
    }

    private static int call(MethodHandle function, MemorySegment a) {
        try {
            return (int) function.invokeExact(a);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    private static int call(MethodHandle function, MemorySegment a, MemorySegment b) {
        try {
            return (int) function.invokeExact(a, b);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    private int create(
            MemorySegment handle,
            MemorySegment source,
            MemorySegment name,
            int headers,
            MemorySegment texts,
            MemorySegment names) {
        try {
            return (int) createProgram.invokeExact(handle, source, name, headers, texts, names);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    private int compile(MemorySegment program, int count, MemorySegment options) {
        try {
            return (int) compileProgram.invokeExact(program, count, options);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    private static IllegalStateException unexpected(Throwable e) {
        return new IllegalStateException("a call of NVRTC failed", e);
    }
}
