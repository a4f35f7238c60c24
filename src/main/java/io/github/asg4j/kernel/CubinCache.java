// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import io.github.asg4j.ffi.UserCache;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/**
 * Keeps compiled kernels on disk, named by what they were made of: source, headers, options (with
 * the architecture), compiler. A file begins with the SHA-256 of the rest, so a damaged one is found
 * and made again; a folder that cannot be written costs the time of compiling in every process, and
 * one warning. Safe with several processes.
 */
public final class CubinCache {
    private static final System.Logger LOG = System.getLogger(CubinCache.class.getName());
    private static final int DIGEST_BYTES = 32;

    private final Path folder;
    private boolean warned;

    public CubinCache(Path folder) {
        this.folder = folder;
    }

    /** This user's: {@code asg4j/cubin} in the cache folder. */
    public static CubinCache ofUser() {
        return new CubinCache(UserCache.folder().resolve("cubin"));
    }

    /**
     * The machine code of a kernel, from the cache or compiled.
     *
     * @param compiler version of the compiler
     * @param compile makes it; its exceptions pass
     */
    synchronized byte[] get(
            String name,
            String source,
            Map<String, String> headers,
            List<String> options,
            String compiler,
            Supplier<byte[]> compile) {
        Path file = folder.resolve(name + "-" + key(source, headers, options, compiler) + ".cubin");
        byte[] known = read(file);
        if (known.length > 0) {
            return known;
        }
        byte[] cubin = compile.get();
        write(file, cubin);
        return cubin;
    }

    private static String key(
            String source, Map<String, String> headers, List<String> options, String compiler) {
        MessageDigest digest = sha256();
        add(digest, compiler);
        options.stream().sorted().forEach(option -> add(digest, option));
        headers.entrySet().stream()
                .sorted(Map.Entry.comparingByKey())
                .forEach(
                        header -> {
                            add(digest, header.getKey());
                            add(digest, header.getValue());
                        });
        add(digest, source);
        return HexFormat.of().formatHex(digest.digest(), 0, 16);
    }

    /** Adds a text with its length, so that no two lists of texts give the same bytes. */
    private static void add(MessageDigest digest, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        digest.update((bytes.length + ":").getBytes(StandardCharsets.UTF_8));
        digest.update(bytes);
    }

    /** Empty if there is none that is whole. */
    private static byte[] read(Path file) {
        try {
            byte[] all = Files.readAllBytes(file);
            byte[] cubin = Arrays.copyOfRange(all, Math.min(DIGEST_BYTES, all.length), all.length);
            byte[] digest = Arrays.copyOf(all, DIGEST_BYTES);
            if (cubin.length > 0 && MessageDigest.isEqual(digest, sha256().digest(cubin))) {
                return cubin;
            }
            LOG.log(Level.WARNING, "{0} is damaged; its kernel is compiled again", file);
        } catch (NoSuchFileException e) {
            LOG.log(Level.DEBUG, "{0} is not there yet", file);
        } catch (IOException e) {
            LOG.log(Level.WARNING, "{0} cannot be read ({1}); its kernel is compiled", file, e);
        }
        return new byte[0];
    }

    private void write(Path file, byte[] cubin) {
        try {
            Files.createDirectories(folder);
            Path temporary = Files.createTempFile(folder, "cubin", ".tmp");
            try {
                byte[] all = Arrays.copyOf(sha256().digest(cubin), DIGEST_BYTES + cubin.length);
                System.arraycopy(cubin, 0, all, DIGEST_BYTES, cubin.length);
                Files.write(temporary, all);
                Files.move(
                        temporary,
                        file,
                        StandardCopyOption.ATOMIC_MOVE,
                        StandardCopyOption.REPLACE_EXISTING);
            } finally {
                Files.deleteIfExists(temporary);
            }
        } catch (IOException e) {
            if (!warned) {
                warned = true;
                LOG.log(
                        Level.WARNING,
                        "compiled kernels cannot be kept in {0} ({1}): every start compiles them"
                                + " anew; make the folder writable or set XDG_CACHE_HOME",
                        folder,
                        e);
            }
        }
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
