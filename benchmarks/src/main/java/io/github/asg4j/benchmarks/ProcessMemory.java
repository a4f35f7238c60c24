// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** What Linux says of a process's memory. */
final class ProcessMemory {
    private ProcessMemory() {}

    /**
     * Bytes of this process.
     *
     * @param key of /proc/PID/status: VmRSS, RssAnon, or VmHWM for the peak
     */
    static long bytes(String key) throws IOException {
        return bytes(ProcessHandle.current(), key);
    }

    /** The same of another process. */
    static long bytes(ProcessHandle process, String key) throws IOException {
        return Files.readAllLines(Path.of("/proc/" + process.pid() + "/status")).stream()
                .filter(line -> line.startsWith(key))
                .mapToLong(line -> Long.parseLong(line.replaceAll("\\D+", "")) * 1024)
                .findFirst()
                .orElseThrow();
    }

    /** Lets the peak begin with what is resident now, and returns that. */
    static long resetPeak() throws IOException {
        Files.writeString(Path.of("/proc/self/clear_refs"), "5");
        return bytes("VmHWM");
    }
}
