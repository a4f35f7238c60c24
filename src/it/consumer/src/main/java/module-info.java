// SPDX-License-Identifier: Apache-2.0
/** What docs/embedding.md tells a program to require. */
module consumer {
    requires io.github.asg4j;
    requires io.github.asg4j.demo;
}
