// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import java.util.Iterator;

/** The methods' names for the help; asked for when the help is printed. */
record MethodNames(EngineFactory engines) implements Iterable<String> {
    @Override
    public Iterator<String> iterator() {
        return engines.methods().iterator();
    }
}
