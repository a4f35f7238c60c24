// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import io.github.asg4j.BadRequestException;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * A key that clients may come with.
 *
 * @param name of the client, for logs and for the fairness of the queue
 * @param secret the key itself
 */
public record ApiKey(String name, String secret, Limits limits) {
    /** Shorter keys are guessed. */
    private static final int MIN_CHARACTERS = 8;

    public ApiKey {
        if (secret.length() < MIN_CHARACTERS) {
            throw new BadRequestException(
                    "the API key of "
                            + name
                            + " has "
                            + secret.length()
                            + " characters: it needs at least "
                            + MIN_CHARACTERS
                            + ", as from openssl rand -hex 16");
        }
    }

    /**
     * Reads a file with a key on each line, after which settings may follow, as in {@code
     * 3f9ac1e87b20d4 name=ann max-pixels=4000000 max-steps=50 max-pictures=4}. Lines that begin with
     * {@code #} are comments.
     *
     * @param limits of a key whose line sets none
     * @throws BadRequestException if the file cannot be read, has no key, or a line is wrong; the
     *     message names the line and not the key
     */
    public static List<ApiKey> read(Path file, Limits limits) {
        List<String> lines;
        try {
            lines = Files.readAllLines(file);
        } catch (IOException e) {
            throw new BadRequestException(
                    "the file of API keys '"
                            + file
                            + "' cannot be read ("
                            + e
                            + "): check its name and permissions",
                    e);
        }
        List<ApiKey> keys = new ArrayList<>();
        Set<String> secrets = new HashSet<>();
        for (int i = 0; i < lines.size(); i++) {
            String line = lines.get(i).strip();
            if (line.isEmpty() || line.startsWith("#")) {
                continue;
            }
            String where = file + ", line " + (i + 1);
            ApiKey key = parse(line, where, "key-" + (i + 1), limits);
            if (!secrets.add(key.secret)) {
                throw new BadRequestException(where + ": this key is there twice: take one out");
            }
            keys.add(key);
        }
        if (keys.isEmpty()) {
            throw new BadRequestException(
                    "there is no API key in '" + file + "': write one on a line, or leave it out");
        }
        return List.copyOf(keys);
    }

    private static ApiKey parse(String line, String where, String name, Limits limits) {
        String[] words = line.split("\\s+");
        String named = name;
        Limits own = limits;
        for (int i = 1; i < words.length; i++) {
            int equals = words[i].indexOf('=');
            String value = words[i].substring(equals + 1);
            switch (words[i].substring(0, Math.max(equals, 0))) {
                case "name" -> named = value;
                case "max-pixels" ->
                        own = new Limits(number(where, value), own.steps(), own.pictures());
                case "max-steps" ->
                        own = new Limits(own.pixels(), (int) number(where, value), own.pictures());
                case "max-pictures" ->
                        own = new Limits(own.pixels(), own.steps(), (int) number(where, value));
                default ->
                        throw new BadRequestException(
                                where
                                        + ": word "
                                        + (i + 1)
                                        + " is none of name=, max-pixels=, max-steps= and"
                                        + " max-pictures=");
            }
        }
        try {
            return new ApiKey(named, words[0], own);
        } catch (BadRequestException e) {
            throw new BadRequestException(where + ": " + e.getMessage(), e);
        }
    }

    private static long number(String where, String text) {
        try {
            int value = Integer.parseInt(text);
            if (value > 0) {
                return value;
            }
        } catch (NumberFormatException e) {
            // Falls through to the message.
        }
        throw new BadRequestException(
                where + ": '" + text + "' is no limit: give a whole number, 1 to 2147483647");
    }

    /** Returns a text without the secret. */
    @Override
    public String toString() {
        return "ApiKey[name=" + name + ", limits=" + limits + "]";
    }
}
