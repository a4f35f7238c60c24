// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;

/**
 * SIGINT and SIGTERM as something to wait for, from creation to {@link #close()}. The JVM by itself
 * runs its shutdown hooks at the first one and tells nobody of the second.
 */
final class StopSignals implements AutoCloseable {
    private static final List<String> NAMES = List.of("INT", "TERM");

    private final CountDownLatch first = new CountDownLatch(1);
    private final List<AutoCloseable> handlers = new ArrayList<>();
    private Runnable second = () -> {};
    private int count;

    StopSignals() {
        NAMES.forEach(name -> handlers.add(handle(name, this::arrived)));
    }

    private synchronized void arrived() {
        count++;
        first.countDown();
        if (count > 1) {
            second.run();
        }
    }

    void awaitFirst() throws InterruptedException {
        first.await();
    }

    /** What a second signal does; at once if it came before. */
    synchronized void onSecond(Runnable action) {
        second = action;
        if (count > 1) {
            action.run();
        }
    }

    synchronized boolean wasSecond() {
        return count > 1;
    }

    /**
     * Handles a signal until the result is closed. By reflection: the class is in every JDK, in a
     * package that the compiler warns of without a way to allow it.
     */
    private static AutoCloseable handle(String name, Runnable action) {
        try {
            Class<?> signal = Class.forName("sun.misc.Signal");
            Class<?> handler = Class.forName("sun.misc.SignalHandler");
            var handle = signal.getMethod("handle", signal, handler);
            Object which = signal.getConstructor(String.class).newInstance(name);
            Object own =
                    Proxy.newProxyInstance(
                            StopSignals.class.getClassLoader(),
                            new Class<?>[] {handler},
                            (proxy, method, arguments) -> {
                                if (method.getName().equals("handle")) {
                                    action.run();
                                }
                                return method.getName().equals("hashCode") ? (Object) 1 : null;
                            });
            Object before = handle.invoke(null, which, own);
            return () -> handle.invoke(null, which, before);
        } catch (ReflectiveOperationException e) {
            Throwable cause = e instanceof InvocationTargetException t ? t.getCause() : e;
            throw new IllegalStateException("signals cannot be handled by this Java", cause);
        }
    }

    @Override
    public void close() {
        for (AutoCloseable handler : handlers) {
            try {
                handler.close();
            } catch (Exception e) {
                throw new IllegalStateException("a signal keeps its handler", e);
            }
        }
    }
}
