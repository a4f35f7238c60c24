// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import io.github.asg4j.AsgException;
import io.github.asg4j.CancelledException;

import org.bytedeco.javacpp.Pointer;
import org.bytedeco.onnxruntime.IoBinding;
import org.bytedeco.onnxruntime.OrtMemoryInfo;
import org.bytedeco.onnxruntime.RunOptions;
import org.bytedeco.onnxruntime.Session;
import org.bytedeco.onnxruntime.Value;
import org.bytedeco.onnxruntime.global.onnxruntime;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A model with memory bound to its inputs and outputs. Built once; {@link #run()} then reads and
 * writes that memory in place and allocates nothing on the Java heap.
 *
 * <p>One thread runs it at a time; {@link #terminate()}, {@link #reset()} and {@link #close()} may
 * come from any thread. Closing waits for a running call.
 */
public final class Binding implements AutoCloseable {
    private final OrtSession owner;
    private final Session session;
    private final Tensor[] tensors;
    private final List<Tensor> inputs;
    private final List<Tensor> outputs;
    private final String description;

    /** Closed from the last to the first. */
    private final Deque<Pointer> pointers = new ArrayDeque<>();

    private final IoBinding io;
    private final RunOptions options;

    private boolean running;
    private boolean terminated;
    private boolean closed;
    private boolean freed;

    Binding(
            OrtSession owner,
            Session session,
            Map<String, Tensor> inputs,
            Map<String, Tensor> outputs) {
        this.owner = owner;
        this.session = session;
        this.inputs = List.copyOf(inputs.values());
        this.outputs = List.copyOf(outputs.values());
        this.tensors =
                Stream.concat(this.inputs.stream(), this.outputs.stream()).toArray(Tensor[]::new);
        this.description =
                owner.name() + " (" + signatures(inputs) + " -> " + signatures(outputs) + ")";
        try {
            options = keep(new RunOptions());
            owner.configure(options, this.inputs);
            io = keep(new IoBinding(session));
            inputs.forEach((name, tensor) -> io.BindInput(name, value(tensor)));
            outputs.forEach((name, tensor) -> io.BindOutput(name, value(tensor)));
        } catch (AsgException e) {
            free();
            throw e;
        } catch (RuntimeException e) {
            free();
            throw OrtRuntime.runFailure(description, e);
        }
    }

    private static String signatures(Map<String, Tensor> tensors) {
        return tensors.entrySet().stream()
                .map(e -> e.getKey() + " " + e.getValue().signature())
                .sorted()
                .collect(Collectors.joining(", "));
    }

    private <P extends Pointer> P keep(P pointer) {
        pointers.push(pointer);
        return pointer;
    }

    private Value value(Tensor tensor) {
        OrtMemoryInfo place =
                (tensor.onHost() ? OrtRuntime.hostMemory() : owner.tensorMemory())
                        .asOrtMemoryInfo();
        return keep(
                Value.CreateTensor(
                        place,
                        keep(new OrtSession.Address(tensor.data())),
                        tensor.data().byteSize(),
                        tensor.shape(),
                        tensor.shape().length,
                        switch (tensor.type()) {
                            case FLOAT32 -> onnxruntime.ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
                            case INT64 -> onnxruntime.ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
                        }));
    }

    /**
     * Runs the model and waits for it; on a GPU only enqueues it on the session's stream.
     *
     * @throws CancelledException {@link #terminate()} was called before or during the run; outputs
     *     are then undefined
     * @throws io.github.asg4j.BadBundleException the model fails on these shapes, or yields an
     *     output of another shape than the bound one
     * @throws io.github.asg4j.OutOfMemoryException no memory for intermediate results
     * @throws io.github.asg4j.DeviceException any other failure of ONNX Runtime
     */
    public void run() {
        begin();
        try {
            owner.enqueues(inputs, outputs);
            session.Run(options, io);
        } catch (RuntimeException e) {
            throw failure(e);
        } finally {
            end();
        }
    }

    private synchronized void begin() {
        if (closed || running) {
            throw new IllegalStateException(
                    description + (closed ? " is closed" : " is running in another thread"));
        }
        if (terminated) {
            throw new CancelledException(description + " was terminated; reset() makes it usable");
        }
        for (Tensor tensor : tensors) {
            if (!tensor.data().scope().isAlive()) {
                throw new IllegalStateException(
                        description + ": memory bound to it, " + tensor.signature() + ", is freed");
            }
        }
        running = true;
    }

    private synchronized void end() {
        running = false;
        notifyAll();
    }

    private synchronized AsgException failure(RuntimeException e) {
        return terminated
                ? new CancelledException(description + " was terminated", e)
                : OrtRuntime.runFailure(description, e);
    }

    /** Ends a running call at its next node, and refuses further runs until {@link #reset()}. */
    public synchronized void terminate() {
        if (!freed) {
            terminated = true;
            options.SetTerminate();
        }
    }

    /** Allows runs again after {@link #terminate()}; waits for the call that is being ended. */
    public synchronized void reset() {
        if (terminated) {
            awaitIdle();
        }
        if (!closed) {
            terminated = false;
            options.UnsetTerminate();
        }
    }

    /** Refuses further runs, waits for a running call, then frees the native objects. Idempotent. */
    @Override
    public synchronized void close() {
        // Before the wait: a thread that runs again and again would else be first every time.
        closed = true;
        awaitIdle();
        if (!freed) {
            freed = true;
            free();
            owner.release(session);
        }
    }

    private synchronized void awaitIdle() {
        boolean interrupted = false;
        while (running) {
            try {
                wait();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private void free() {
        while (!pointers.isEmpty()) {
            pointers.pop().close();
        }
    }
}
