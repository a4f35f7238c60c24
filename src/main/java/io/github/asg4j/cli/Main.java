// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import java.util.random.RandomGenerator;

/** Entry point of the command line; the only place that ends the process. */
public final class Main {
    /** The number of seeds: those of 32 bits stay exact in every JSON reader. */
    private static final long SEEDS = 1L << 32;

    private Main() {}

    public static void main(String[] args) {
        // No display is needed to write a PNG; asking for one costs time and may fail.
        System.setProperty("java.awt.headless", "true");
        // Pointers are closed by us: JavaCPP's collector threads would only cost.
        System.setProperty("org.bytedeco.javacpp.nopointergc", "true");
        if (System.getProperty("java.util.logging.SimpleFormatter.format") == null) {
            System.setProperty("java.util.logging.SimpleFormatter.format", "asg: %4$s: %5$s%6$s%n");
        }
        Cli cli =
                new Cli(
                        EngineFactory.real(),
                        System.out,
                        System.err,
                        Terminal.isStandardError(),
                        () -> RandomGenerator.getDefault().nextLong(SEEDS));
        System.exit(cli.run(args));
    }
}
