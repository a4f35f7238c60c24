// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

/** Entry point of the command line; a stub until the commands are there. */
public final class Main {
    private Main() {}

    /** Prints that there is nothing yet and leaves with exit code 1. */
    public static void main(String[] args) {
        System.err.println("asg4j: no commands yet (" + args.length + " arguments)");
        System.exit(1);
    }
}
