// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

import io.github.asg4j.DeviceException;
import io.github.asg4j.device.CudaDevice;
import io.github.asg4j.device.CudaStream;
import io.github.asg4j.device.HostQueue;
import io.github.asg4j.device.Queue;
import io.github.asg4j.ffi.CudaApi;
import io.github.asg4j.kernel.CudaKernels;
import io.github.asg4j.kernel.CudaProgram;
import io.github.asg4j.kernel.KernelSelfTest;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.ort.Place;
import io.github.asg4j.ort.Placement;
import io.github.asg4j.ort.Provider;
import io.github.asg4j.planning.GpuMemory;

import org.jspecify.annotations.Nullable;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The workers of an engine: a thread each, and on GPUs a stream with our kernels and the place of its
 * networks. Held by the engine from its start to its end.
 */
public final class Fleet implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger(Fleet.class.getName());

    private final List<DeviceLane> lanes = new ArrayList<>();
    private final List<Placement> placements = new ArrayList<>();
    private final Map<Integer, String> models = new HashMap<>();

    /** Closed from the last to the first. */
    private final Deque<AutoCloseable> owned = new ArrayDeque<>();

    private Fleet() {}

    /**
     * Workers on the CPU, which share their memory, kernels and networks.
     *
     * @param names of the workers
     * @param threads of each run of a network
     * @param provider of the denoiser and of the VAE's whole networks; null: ONNX Runtime's own kernels
     * @param mapsWeights whether weights are read where they lie in files
     */
    public static Fleet ofCpu(
            List<String> names,
            int threads,
            @Nullable Provider provider,
            boolean mapsWeights,
            Kernels kernels) {
        Place loop = new Place(threads, provider, mapsWeights);
        Place front = new Place(threads, null, mapsWeights);
        Fleet fleet = new Fleet();
        for (String name : names) {
            HostQueue queue = HostQueue.INSTANCE;
            fleet.lanes.add(fleet.lane(name, queue, queue, kernels, Long.MAX_VALUE));
            fleet.placements.add(new Placement(loop, front, loop));
        }
        return fleet;
    }

    /**
     * Workers on GPUs, one for each entry.
     *
     * @param names of the workers
     * @param ordinals of their devices; one that comes twice has two streams
     * @throws io.github.asg4j.DeviceException if one of them cannot be used
     */
    public static Fleet ofGpus(List<String> names, List<Integer> ordinals, Gpus gpus) {
        Fleet fleet = new Fleet();
        try {
            CudaApi driver = gpus.driver();
            Map<Integer, Gpu> opened = new LinkedHashMap<>();
            for (int i = 0; i < names.size(); i++) {
                int ordinal = ordinals.get(i);
                Gpu gpu = opened.get(ordinal);
                if (gpu == null) {
                    CudaDevice device = fleet.own(CudaDevice.open(driver, ordinal));
                    gpu = new Gpu(device, gpus.program(device));
                    connect(device, opened.values());
                    opened.put(ordinal, gpu);
                    fleet.models.put(ordinal, device.model());
                }
                fleet.add(names.get(i), gpu, gpus);
            }
            return fleet;
        } catch (RuntimeException | Error e) {
            closeAfter(e, fleet);
            throw e;
        }
    }

    private record Gpu(CudaDevice device, CudaProgram program) {}

    private void add(String name, Gpu gpu, Gpus gpus) {
        CudaDevice device = gpu.device();
        device.makeCurrent();
        CudaStream stream = device.newStream();
        CudaStream side = device.newStream();
        CudaKernels kernels = new CudaKernels(stream, gpu.program());
        own(stream);
        own(side);
        own(kernels);
        // The last is closed first: what a lane has enqueued is done before its memory is freed.
        own(
                () -> {
                    device.makeCurrent();
                    stream.synchronize();
                });
        Place loop = Place.on(gpus.onStream(stream));
        Place front = Place.on(gpus.withHostTensors(device));
        placements.add(new Placement(loop, front, front));
        lanes.add(lane(name, stream, side, kernels, device.totalBytes()));
    }

    /** Lets devices read each other's memory where the hardware can. */
    private static void connect(CudaDevice device, Collection<Gpu> others) {
        for (Gpu other : others) {
            boolean both =
                    device.enablePeerAccess(other.device())
                            && other.device().enablePeerAccess(device);
            if (!both) {
                LOG.log(
                        System.Logger.Level.INFO,
                        device
                                + " and "
                                + other.device()
                                + " cannot reach each other's memory: what they exchange goes"
                                + " through the host's");
            }
        }
    }

    private static void closeAfter(Throwable cause, Fleet fleet) {
        try {
            fleet.close();
        } catch (RuntimeException e) {
            cause.addSuppressed(e);
        }
    }

    private <T extends AutoCloseable> T own(T resource) {
        owned.push(resource);
        return resource;
    }

    private DeviceLane lane(
            String name, Queue queue, Queue side, Kernels kernels, long memoryLimit) {
        return new DeviceLane(
                name,
                queue,
                side,
                kernels,
                memoryLimit,
                thread(name),
                thread(name + " beside"),
                new AtomicLong());
    }

    private ExecutorService thread(String name) {
        ExecutorService thread =
                Executors.newSingleThreadExecutor(
                        Thread.ofPlatform().daemon().name("asg-" + name).factory());
        own(() -> end(thread));
        return thread;
    }

    /**
     * Waits for all that a thread has to do, interrupted or not. Its own close() drops what waits when
     * interrupted, and somebody waits for that.
     */
    public static void end(ExecutorService thread) {
        thread.shutdown();
        boolean interrupted = false;
        while (true) {
            try {
                if (thread.awaitTermination(1, TimeUnit.DAYS)) {
                    break;
                }
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    public List<DeviceLane> lanes() {
        return List.copyOf(lanes);
    }

    /** Returns where each lane runs. */
    public List<Placement> placements() {
        return List.copyOf(placements);
    }

    /** Memory of each worker's GPU as it is now, by the worker's name; empty on the CPU. */
    public SequencedMap<String, GpuMemory> gpuMemory() {
        SequencedMap<String, GpuMemory> memory = new LinkedHashMap<>();
        for (DeviceLane lane : lanes) {
            if (lane.queue() instanceof CudaStream stream) {
                CudaDevice device = stream.device();
                device.makeCurrent();
                memory.put(lane.name(), new GpuMemory(lane.memoryLimit(), device.freeBytes()));
            }
        }
        return memory;
    }

    /** Time that each worker has worked, by its name. */
    public Map<String, Duration> busy() {
        Map<String, Duration> busy = new LinkedHashMap<>();
        lanes.forEach(lane -> busy.put(lane.name(), Duration.ofNanos(lane.busyNanos().get())));
        return busy;
    }

    /** Models of the GPUs by their number; empty on the CPU. */
    public Map<Integer, String> models() {
        return Map.copyOf(models);
    }

    /**
     * Compares the kernels of every GPU with the Java ones, behind what its worker does now: name of
     * the worker, and the operation that differs, an empty string, or why it cannot be tried.
     */
    public Map<String, String> kernelDifferences() {
        Map<String, String> differences = new LinkedHashMap<>();
        for (DeviceLane lane : lanes) {
            if (lane.queue() instanceof CudaStream) {
                differences.put(lane.name(), kernelDifference(lane));
            }
        }
        return differences;
    }

    private static String kernelDifference(DeviceLane lane) {
        try {
            return lane.call(() -> KernelSelfTest.firstDifference(lane.kernels(), lane.queue()));
        } catch (RuntimeException | Error e) {
            return e.toString();
        }
    }

    /** Waits for the threads; after all work, and after what runs in the placements is closed. */
    @Override
    public void close() {
        RuntimeException failure = null;
        while (!owned.isEmpty()) {
            try {
                owned.pop().close();
            } catch (DeviceException e) {
                // of a device that is lost: what it held is gone with it
                LOG.log(System.Logger.Level.DEBUG, "a device cannot be closed", e);
            } catch (RuntimeException e) {
                failure = failure == null ? e : failure;
            } catch (Exception e) {
                throw new AssertionError("close of ours throws no checked exception", e);
            }
        }
        if (failure != null) {
            throw failure;
        }
    }
}
