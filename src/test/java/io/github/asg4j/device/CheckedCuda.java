// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.device;

import io.github.asg4j.ffi.CudaApi;
import io.github.asg4j.ffi.LaunchArguments;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Map.Entry;
import java.util.TreeMap;

/**
 * A driver that does its work through another one and refuses what a GPU would get wrong only
 * sometimes, with an {@link AssertionError}:
 *
 * <ul>
 *   <li>a byte that a copy or a kernel touches outside the memory allocated on the device, or on a
 *       device without access to it;
 *   <li>two accesses to a byte, one of them a write, that no stream, event or wait of the host
 *       orders (vector clocks, so it does not depend on timing);
 *   <li>an event that is waited for and was never recorded;
 *   <li>memory freed, or the page-locked source of a copy overwritten, before the host knows that
 *       the work with it is done. Results of downloads appear in host memory only then.
 * </ul>
 *
 * <p>Each thread of the host knows what it has waited for itself, unless {@link
 * #threadsTellEachOther}.
 */
public final class CheckedCuda implements CudaApi {
    /** Among the launches, a run of a network. */
    public static final String NETWORK = "network";

    private static final byte NOT_THERE_YET = (byte) 0xA5;

    /** A range of bytes that a kernel was launched with. */
    public record Range(long address, long bytes, boolean read, boolean written) {}

    /** A launch. */
    public record Launch(String kernel, long stream, List<Range> ranges) {}

    private record Allocation(long bytes, long context) {}

    /** Bytes from (inclusive) to (exclusive), touched by an actor at its time. */
    private record Access(long from, long to, boolean write, int actor, long time, String what) {}

    /** A download that the host does not see yet, or an upload whose source it may not touch. */
    private record Pending(
            MemorySegment host, byte[] content, boolean upload, int actor, long time) {}

    private static final class Stream {
        final int actor;
        final long context;
        long[] clock = {};

        Stream(int actor, long context) {
            this.actor = actor;
            this.context = context;
        }
    }

    private final CudaApi api;
    private final Map<Long, Stream> streams = new HashMap<>();
    private final Map<Long, long[]> recorded = new HashMap<>();
    private final TreeMap<Long, Allocation> allocations = new TreeMap<>(Long::compareUnsigned);
    private final TreeMap<Long, Long> hostAllocations = new TreeMap<>(Long::compareUnsigned);
    private final Map<Long, String> functions = new HashMap<>();
    private final Map<Integer, Long> contexts = new HashMap<>();
    private final List<Access> accesses = new ArrayList<>();
    private final List<Pending> pending = new ArrayList<>();
    private final List<Launch> launches = new ArrayList<>();
    private final Map<Long, List<Long>> peers = new HashMap<>();
    private final ThreadLocal<Long> current = ThreadLocal.withInitial(() -> 0L);
    private final ThreadLocal<long[]> host = ThreadLocal.withInitial(() -> new long[0]);
    private final Map<Integer, Long> contextOf = new HashMap<>();
    private long gone = -1;
    private int slow = -1;
    private boolean telling;
    private long[] told = {};
    private int dropped = -1;
    private int awaits;
    private boolean failed;
    private long peerBytes;
    private int actors;
    private long now;

    public CheckedCuda(CudaApi api) {
        this.api = api;
    }

    /** Nothing of the device is done any more: nobody has to wait for what it had enqueued. */
    public synchronized void lose(int device) {
        gone = contexts.getOrDefault(device, -1L);
        accesses.removeIf(access -> contextOf.get(access.actor) == gone);
        pending.removeIf(p -> contextOf.get(p.actor) == gone);
    }

    /** A device whose work takes three times as long. */
    public synchronized void slow(int device) {
        slow = device;
    }

    /** From now on each thread knows what any has waited for, as behind a common lock. */
    public synchronized void threadsTellEachOther() {
        telling = true;
    }

    private long[] known() {
        return telling ? told : host.get();
    }

    private void know(long[] clock) {
        told = join(told, clock);
        host.set(join(host.get(), clock));
    }

    /** The wait of a stream after the next {@code after} ones is left out. */
    public synchronized void dropAwait(int after) {
        dropped = awaits + after;
    }

    /** Bytes copied from one device to another so far. */
    public synchronized long peerBytes() {
        return peerBytes;
    }

    /** Whether it has refused anything. */
    public synchronized boolean failed() {
        return failed;
    }

    private AssertionError refused(String why) {
        failed = true;
        return new AssertionError(why);
    }

    /** Whether the wait of {@link #dropAwait} was left out. */
    public synchronized boolean dropped() {
        return dropped >= 0 && awaits > dropped;
    }

    /** A network runs on a stream. */
    public synchronized void network(
            long stream, List<MemorySegment> inputs, List<MemorySegment> outputs) {
        Stream s = enqueue(stream);
        launches.add(new Launch(NETWORK, stream, List.of()));
        for (MemorySegment input : inputs) {
            device(s, input.address(), input.byteSize(), false, "a network");
        }
        for (MemorySegment output : outputs) {
            device(s, output.address(), output.byteSize(), true, "a network");
        }
    }

    /** All launches so far, in the order of the calls. */
    public synchronized List<Launch> launches() {
        return List.copyOf(launches);
    }

    // ---- Clocks: component i is how much of actor i's work comes before ----

    private static long[] join(long[] a, long[] b) {
        long[] joined = Arrays.copyOf(a, Math.max(a.length, b.length));
        for (int i = 0; i < b.length; i++) {
            joined[i] = Math.max(joined[i], b[i]);
        }
        return joined;
    }

    private static boolean covers(long[] clock, int actor, long time) {
        return actor < clock.length && clock[actor] >= time;
    }

    /** The next piece of work of a stream: after its own, and after what the host knows. */
    private Stream enqueue(long handle) {
        Stream stream = stream(handle);
        stream.clock = join(stream.clock, known());
        stream.clock = Arrays.copyOf(stream.clock, Math.max(stream.clock.length, actors));
        stream.clock[stream.actor] = ++now;
        return stream;
    }

    private Stream stream(long handle) {
        Stream stream = streams.get(handle);
        if (stream == null) {
            throw refused("no stream " + handle);
        }
        return stream;
    }

    private void touch(Stream stream, long address, long bytes, boolean write, String what) {
        if (stream.context == gone) {
            return; // the call fails
        }
        Access mine = new Access(address, address + bytes, write, stream.actor, now, what);
        for (Access other : accesses) {
            boolean overlap = other.from < mine.to && mine.from < other.to;
            if (overlap
                    && (write || other.write)
                    && !covers(stream.clock, other.actor, other.time)) {
                throw refused(
                        "race: "
                                + what
                                + " and "
                                + other.what
                                + " touch the same memory and nothing orders them");
            }
        }
        // Ordered before this one: whoever comes after this comes after them.
        accesses.removeIf(
                other ->
                        write
                                && mine.from <= other.from
                                && other.to <= mine.to
                                && covers(stream.clock, other.actor, other.time));
        accesses.add(mine);
    }

    private void device(Stream stream, long address, long bytes, boolean write, String what) {
        Entry<Long, Allocation> below = allocations.floorEntry(address);
        if (below == null
                || address - below.getKey() > below.getValue().bytes
                || bytes > below.getValue().bytes - (address - below.getKey())) {
            throw refused(
                    what
                            + " touches "
                            + bytes
                            + " bytes at 0x"
                            + Long.toHexString(address)
                            + ", which are not inside one allocation");
        }
        long owner = below.getValue().context;
        if (owner != stream.context
                && !peers.getOrDefault(stream.context, List.of()).contains(owner)) {
            throw refused(what + " touches memory of another device without access");
        }
        touch(stream, address, bytes, write, what);
    }

    private void pinned(
            Stream stream, MemorySegment memory, long bytes, boolean write, String what) {
        long address = memory.address();
        Entry<Long, Long> below = hostAllocations.floorEntry(address);
        if (below == null || bytes > below.getValue() - (address - below.getKey())) {
            throw refused(
                    what + " touches " + bytes + " bytes of host memory that is not page-locked");
        }
        touch(stream, address, bytes, write, what);
    }

    /** The host has waited for something: downloads appear, sources of uploads become free. */
    private void learn(long[] clock) {
        know(clock);
        long[] known = known();
        pending.removeIf(
                p -> {
                    if (!covers(known, p.actor, p.time)) {
                        return false;
                    }
                    if (p.upload) {
                        unchanged(p);
                    } else {
                        MemorySegment.copy(
                                p.content, 0, p.host, ValueLayout.JAVA_BYTE, 0, p.content.length);
                    }
                    return true;
                });
    }

    private void unchanged(Pending p) {
        byte[] found = p.host.asSlice(0, p.content.length).toArray(ValueLayout.JAVA_BYTE);
        if (!Arrays.equals(found, p.content)) {
            throw refused(
                    "the host wrote into the source of an upload that may not have been done");
        }
    }

    private void notInUse(long address, long bytes, String what) {
        for (Access other : accesses) {
            if (other.from < address + bytes
                    && address < other.to
                    && !covers(known(), other.actor, other.time)) {
                throw refused(what + " is freed while " + other.what + " may not have been done");
            }
        }
        accesses.removeIf(other -> other.from < address + bytes && address < other.to);
    }

    // ---- The driver ----

    @Override
    public int driverVersion() {
        return api.driverVersion();
    }

    @Override
    public int deviceCount() {
        return api.deviceCount();
    }

    @Override
    public String deviceName(int device) {
        return api.deviceName(device);
    }

    @Override
    public int deviceAttribute(int attribute, int device) {
        return api.deviceAttribute(attribute, device);
    }

    @Override
    public synchronized long retainPrimaryContext(int device) {
        long context = api.retainPrimaryContext(device);
        contexts.put(device, context);
        return context;
    }

    @Override
    public void releasePrimaryContext(int device) {
        api.releasePrimaryContext(device);
    }

    @Override
    public void setCurrent(long context) {
        current.set(context);
        api.setCurrent(context);
    }

    @Override
    public long memoryInfo(boolean total) {
        return api.memoryInfo(total);
    }

    @Override
    public synchronized long allocate(long bytes) {
        long address = api.allocate(bytes);
        allocations.put(address, new Allocation(bytes, current.get()));
        return address;
    }

    @Override
    public synchronized void free(long address) {
        Allocation allocation = allocations.remove(address);
        if (allocation == null) {
            throw refused("0x" + Long.toHexString(address) + " is not allocated");
        }
        notInUse(address, allocation.bytes, "device memory");
        api.free(address);
    }

    @Override
    public synchronized long allocateHost(long bytes) {
        long address = api.allocateHost(bytes);
        hostAllocations.put(address, bytes);
        return address;
    }

    @Override
    public synchronized void freeHost(long address) {
        notInUse(address, hostAllocations.remove(address), "page-locked memory");
        api.freeHost(address);
    }

    @Override
    public synchronized long createStream() {
        long handle = api.createStream();
        contextOf.put(actors, current.get());
        streams.put(handle, new Stream(actors++, current.get()));
        return handle;
    }

    @Override
    public synchronized void destroyStream(long stream) {
        streams.remove(stream);
        api.destroyStream(stream);
    }

    @Override
    public synchronized void synchronizeStream(long stream) {
        api.synchronizeStream(stream);
        learn(stream(stream).clock);
    }

    @Override
    public long createEvent(boolean timing) {
        return api.createEvent(timing);
    }

    @Override
    public synchronized void destroyEvent(long event) {
        recorded.remove(event);
        api.destroyEvent(event);
    }

    @Override
    public synchronized void recordEvent(long event, long stream) {
        api.recordEvent(event, stream);
        recorded.put(event, enqueue(stream).clock.clone());
    }

    @Override
    public synchronized void waitEvent(long stream, long event) {
        if (awaits++ == dropped) {
            return;
        }
        api.waitEvent(stream, event);
        Stream waiting = enqueue(stream);
        waiting.clock = join(waiting.clock, recorded(event));
    }

    private long[] recorded(long event) {
        long[] clock = recorded.get(event);
        if (clock == null) {
            throw refused("an event is waited for that nobody recorded");
        }
        return clock;
    }

    @Override
    public synchronized void synchronizeEvent(long event) {
        api.synchronizeEvent(event);
        learn(recorded(event));
    }

    @Override
    public synchronized boolean queryEvent(long event) {
        boolean done = api.queryEvent(event);
        if (done && recorded.containsKey(event)) {
            learn(recorded(event));
        }
        return done;
    }

    @Override
    public synchronized float elapsedMillis(long startEvent, long endEvent) {
        Long slower = contexts.get(slow);
        boolean here = slower != null && slower.equals(current.get());
        return api.elapsedMillis(startEvent, endEvent) * (here ? 3 : 1);
    }

    @Override
    public synchronized void copyHostToDevice(
            long to, MemorySegment from, long bytes, long stream) {
        Stream s = enqueue(stream);
        pinned(s, from, bytes, false, "an upload");
        device(s, to, bytes, true, "an upload");
        api.copyHostToDevice(to, from, bytes, stream);
        byte[] content = from.asSlice(0, bytes).toArray(ValueLayout.JAVA_BYTE);
        pending.add(new Pending(from, content, true, s.actor, now));
    }

    @Override
    public synchronized void copyDeviceToHost(
            MemorySegment to, long from, long bytes, long stream) {
        Stream s = enqueue(stream);
        pinned(s, to, bytes, true, "a download");
        device(s, from, bytes, false, "a download");
        api.copyDeviceToHost(to, from, bytes, stream);
        MemorySegment target = to.asSlice(0, bytes);
        byte[] content = target.toArray(ValueLayout.JAVA_BYTE);
        target.fill(NOT_THERE_YET);
        pending.add(new Pending(to, content, false, s.actor, now));
    }

    @Override
    public synchronized void copyDeviceToDevice(long to, long from, long bytes, long stream) {
        Stream s = enqueue(stream);
        device(s, from, bytes, false, "a copy");
        device(s, to, bytes, true, "a copy");
        api.copyDeviceToDevice(to, from, bytes, stream);
    }

    @Override
    public synchronized void copyPeer(
            long to, long toContext, long from, long fromContext, long bytes, long stream) {
        Stream s = enqueue(stream);
        // The driver reaches both devices, with or without peer access.
        owner(from, fromContext);
        owner(to, toContext);
        peerRange(from, bytes);
        peerRange(to, bytes);
        touch(s, from, bytes, false, "a copy between devices");
        touch(s, to, bytes, true, "a copy between devices");
        peerBytes += bytes;
        api.copyPeer(to, toContext, from, fromContext, bytes, stream);
    }

    private void owner(long address, long context) {
        Entry<Long, Allocation> below = allocations.floorEntry(address);
        if (below == null || below.getValue().context != context) {
            throw refused("a copy between devices names the wrong device");
        }
    }

    private void peerRange(long address, long bytes) {
        Entry<Long, Allocation> below = allocations.floorEntry(address);
        if (bytes > below.getValue().bytes - (address - below.getKey())) {
            throw refused(
                    "a copy between devices touches "
                            + bytes
                            + " bytes, which are not inside one allocation");
        }
    }

    @Override
    public synchronized void setBytes(long to, byte value, long bytes, long stream) {
        device(enqueue(stream), to, bytes, true, "a fill");
        api.setBytes(to, value, bytes, stream);
    }

    @Override
    public boolean canAccessPeer(int device, int peer) {
        return api.canAccessPeer(device, peer);
    }

    @Override
    public synchronized void enablePeerAccess(long peerContext) {
        peers.computeIfAbsent(current.get(), c -> new ArrayList<>()).add(peerContext);
        api.enablePeerAccess(peerContext);
    }

    @Override
    public long loadModule(MemorySegment cubin, String name) {
        return api.loadModule(cubin, name);
    }

    @Override
    public void unloadModule(long module) {
        api.unloadModule(module);
    }

    @Override
    public synchronized long function(long module, String name) {
        long function = api.function(module, name);
        functions.put(function, name);
        return function;
    }

    @Override
    public synchronized void launch(
            long function,
            int gridX,
            int gridY,
            int gridZ,
            int blockThreads,
            long stream,
            LaunchArguments arguments) {
        Stream s = enqueue(stream);
        String kernel = functions.getOrDefault(function, "an unknown kernel");
        List<Range> ranges = new ArrayList<>();
        for (boolean written : new boolean[] {false, true}) {
            for (int i = 0; i < arguments.count(); i++) {
                if (arguments.bytes(i) == 0 || arguments.written(i) != written) {
                    continue;
                }
                for (int piece = 0; piece < arguments.pieces(i); piece++) {
                    long address = arguments.address(i) + piece * arguments.pitch(i);
                    long bytes = arguments.bytes(i);
                    ranges.add(new Range(address, bytes, arguments.read(i), written));
                    device(s, address, bytes, written, kernel);
                }
            }
        }
        launches.add(new Launch(kernel, stream, ranges));
        api.launch(function, gridX, gridY, gridZ, blockThreads, stream, arguments);
    }
}
