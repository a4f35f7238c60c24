// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import org.eclipse.jetty.io.AbstractEndPoint;
import org.eclipse.jetty.util.BufferUtil;
import org.eclipse.jetty.util.Callback;

import java.io.EOFException;
import java.io.IOException;

/**
 * Sees that a client goes away while its answer is made: reads on its connection, where nothing is expected
 * before the answer. Thread-safe.
 */
final class ClientWatch implements Callback {
    private final AbstractEndPoint endPoint;
    private final Runnable lost;
    private boolean ended;
    private boolean heard;

    private ClientWatch(AbstractEndPoint endPoint, Runnable lost) {
        this.endPoint = endPoint;
        this.lost = lost;
    }

    /**
     * @param endPoint of a request that has been read whole
     * @param lost called once when the client is gone
     */
    static ClientWatch begin(AbstractEndPoint endPoint, Runnable lost) {
        ClientWatch watch = new ClientWatch(endPoint, lost);
        endPoint.fillInterested(watch);
        return watch;
    }

    /** There is something to read, or the end. */
    @Override
    public void succeeded() {
        if (isGone()) {
            lost.run();
        }
    }

    private synchronized boolean isGone() {
        if (ended) {
            return false; // what is there is the next request's, and is read with it
        }
        try {
            int bytes = endPoint.fill(BufferUtil.allocate(1));
            if (bytes == 0) {
                endPoint.fillInterested(this);
            }
            heard |= bytes > 0;
            return bytes < 0;
        } catch (IOException e) {
            return true;
        }
    }

    /**
     * Hands the connection back, before the answer is written.
     *
     * @return whether it can take a further request: none whose beginning was read here
     */
    synchronized boolean end() {
        ended = true;
        endPoint.getFillInterest().onFail(new EOFException("the answer is written"));
        return !heard;
    }

    @Override
    public void failed(Throwable e) {
        // this watch has ended, or the connection has
    }
}
