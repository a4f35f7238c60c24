// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.TensorInfo;

import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** Holds a graph against what the manifest says of it. */
final class GraphContract {
    /** An extent that the graph may fix or leave open. */
    static final long ANY = -1;

    private final OrtSession session;

    GraphContract(OrtSession session) {
        this.session = session;
    }

    /** The graph has exactly these inputs. */
    void onlyInputs(List<String> names) {
        for (String name : session.inputs().keySet()) {
            if (!names.contains(name)) {
                throw fault(
                        "input \"" + name + "\"",
                        "an input the engine does not know",
                        "only " + names);
            }
        }
    }

    TensorInfo input(String name, String type, long... dims) {
        return check("input", session.inputs(), name, type, dims);
    }

    TensorInfo output(String name, String type, long... dims) {
        return check("output", session.outputs(), name, type, dims);
    }

    /** The extent of an axis that the graph has to fix, since memory is sized by it. */
    int fixed(TensorInfo info, int axis) {
        long extent = info.dims().get(axis);
        if (extent < 1 || extent > Integer.MAX_VALUE) {
            throw fault(
                    "\"" + info.name() + "\"", info.signature(), "a fixed extent in axis " + axis);
        }
        return (int) extent;
    }

    private TensorInfo check(
            String kind, Map<String, TensorInfo> declared, String name, String type, long... dims) {
        TensorInfo info = declared.get(name);
        TensorInfo expected = expected(name, type, dims);
        String tensor = kind + " \"" + name + "\"";
        if (info == null) {
            throw fault(tensor, "only " + declared.keySet(), expected.signature());
        }
        boolean fits = info.type().equals(type) && info.dims().size() == dims.length;
        for (int i = 0; fits && i < dims.length; i++) {
            long found = info.dims().get(i);
            fits = found < 0 || dims[i] == ANY || found == dims[i];
        }
        if (!fits) {
            throw fault(tensor, info.signature(), expected.signature());
        }
        return info;
    }

    private static TensorInfo expected(String name, String type, long... dims) {
        return new TensorInfo(name, type, Arrays.stream(dims).boxed().toList());
    }

    BadBundleException fault(String tensor, String found, String expected) {
        return new BadBundleException(
                session.name()
                        + ": "
                        + tensor
                        + ": found "
                        + found
                        + ", expected "
                        + expected
                        + ": export the bundle again");
    }
}
