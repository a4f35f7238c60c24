// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import org.eclipse.jetty.http.HttpHeader;
import org.eclipse.jetty.http.HttpStatus;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.server.handler.ErrorHandler;
import org.eclipse.jetty.util.Callback;
import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;

/** What Jetty itself refuses, before it comes to us, in the form of all other errors. */
final class JsonErrors extends ErrorHandler {
    @Override
    public boolean handle(Request request, Response response, Callback callback) {
        byte[] body = body(response.getStatus(), (String) request.getAttribute(ERROR_MESSAGE));
        response.getHeaders().put(HttpHeader.CONTENT_TYPE, "application/json");
        response.write(true, ByteBuffer.wrap(body), callback);
        return true;
    }

    private static byte[] body(int status, @Nullable String reason) {
        String message = reason == null ? HttpStatus.getMessage(status) : reason;
        return Json.bytes(
                Router.error(
                        status == HttpStatus.SERVICE_UNAVAILABLE_503
                                ? Refusal.later(503, "shutting_down", 5, message)
                                : Refusal.invalid(status, "bad_request", null, message)));
    }
}
