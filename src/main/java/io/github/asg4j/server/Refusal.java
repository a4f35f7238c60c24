// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.OutputException;

import org.jspecify.annotations.Nullable;

import java.util.concurrent.RejectedExecutionException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What is not done, told as HTTP status, type and code of OpenAI's errors, and a sentence. */
final class Refusal extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** {@code RequestJson} begins its messages with the key that is wrong. */
    private static final Pattern KEY =
            Pattern.compile("(?:unknown key )?\"(\\w+)\".*", Pattern.DOTALL);

    private final int status;
    private final String type;
    private final String code;
    private final @Nullable String param;
    private final int retryAfterSeconds;

    private Refusal(
            int status,
            String type,
            String code,
            @Nullable String param,
            int retryAfterSeconds,
            String message,
            @Nullable Throwable cause) {
        super(message, cause);
        this.status = status;
        this.type = type;
        this.code = code;
        this.param = param;
        this.retryAfterSeconds = retryAfterSeconds;
    }

    /** A request that is wrong in itself. */
    static Refusal invalid(int status, String code, @Nullable String param, String message) {
        return new Refusal(status, "invalid_request_error", code, param, 0, message, null);
    }

    /** A value that is not possible, named by its key. */
    static Refusal invalidValue(String param, String message) {
        return invalid(400, "invalid_" + param, param, message);
    }

    static Refusal notFound(String what) {
        return invalid(404, "not_found", null, what);
    }

    static Refusal unauthorized() {
        return new Refusal(
                401,
                "authentication_error",
                "invalid_api_key",
                null,
                0,
                "this server asks for an API key: send one as Authorization: Bearer KEY",
                null);
    }

    /** Something that a later request may be granted. */
    static Refusal later(int status, String code, int seconds, String message) {
        String type = status == 429 ? "rate_limit_error" : "server_error";
        return new Refusal(status, type, code, null, seconds, message, null);
    }

    /** A model that its engine does not take, for reasons that only the log tells. */
    static Refusal unusableModel(String name, Throwable cause) {
        return failed(
                500,
                "server_error",
                cause instanceof OutOfMemoryException ? "out_of_memory" : "bad_bundle",
                "model \"" + name + "\" cannot be opened; the server's log says why",
                cause);
    }

    static Refusal of(Throwable failure) {
        String message = String.valueOf(failure.getMessage());
        return switch (failure) {
            case Refusal refusal -> refusal;
            case BadRequestException e -> invalid(e, message);
            case OutOfMemoryException e ->
                    failed(400, "invalid_request_error", "out_of_memory", message, e);
            case OutOfMemoryError e ->
                    failed(
                            500,
                            "server_error",
                            "out_of_memory",
                            "the Java heap is full: ask for a smaller picture, or start the server"
                                    + " with more, as in ASG_JAVA_OPTS=-Xmx8g",
                            e);
            case DeviceException e ->
                    failed(
                            500,
                            "server_error",
                            e.lost() ? "device_lost" : "device_error",
                            message,
                            e);
            case CancelledException e -> failed(409, "server_error", "cancelled", message, e);
            case RejectedExecutionException e -> later(503, "shutting_down", 5, message);
            case BadBundleException e -> failed(500, "server_error", "bad_bundle", message, e);
            case OutputException e -> failed(500, "server_error", "output_error", message, e);
            default ->
                    failed(
                            500,
                            "server_error",
                            "internal_error",
                            "this is a bug of the server, sorry: its log says more under the id of"
                                    + " this answer",
                            failure);
        };
    }

    private static Refusal invalid(BadRequestException e, String message) {
        Matcher key = KEY.matcher(message);
        String param = key.matches() ? key.group(1) : null;
        String code = param == null ? "invalid_request" : "invalid_" + param;
        return new Refusal(400, "invalid_request_error", code, param, 0, message, e);
    }

    private static Refusal failed(
            int status, String type, String code, String message, Throwable cause) {
        return new Refusal(status, type, code, null, 0, message, cause);
    }

    int status() {
        return status;
    }

    String type() {
        return type;
    }

    String code() {
        return code;
    }

    /** Key of the request that is wrong; null: none by itself. */
    @Nullable String param() {
        return param;
    }

    /** 0: trying again does not help. */
    int retryAfterSeconds() {
        return retryAfterSeconds;
    }

    String text() {
        return String.valueOf(getMessage());
    }

    /** Whether the log should have the stack trace. */
    boolean isBug() {
        return code.equals("internal_error");
    }
}
