// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GenerationRequest;

import java.util.regex.Pattern;

/**
 * A row of the table: pictures that differ in prompt and seed only.
 *
 * @param key method, size and name of the setting
 * @param pictures how many to draw
 * @param requests how to draw one
 */
public record EvaluationRow(Key key, int pictures, Requests requests) {
    /** The request for a prompt and a seed. */
    @FunctionalInterface
    public interface Requests {
        GenerationRequest of(String prompt, long seed);
    }

    /**
     * @param method name of the method
     * @param width pixels
     * @param height pixels
     * @param setting name of the setting
     */
    public record Key(String method, int width, int height, String setting) {
        private static final Pattern SETTING = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._+-]{0,39}");

        public Key {
            if (!SETTING.matcher(setting).matches()) {
                throw new BadRequestException(
                        "'"
                                + setting
                                + "' cannot name a setting: at most 40 letters, digits and . _ + -,"
                                + " the first a letter or digit");
            }
        }

        /** Returns the size, such as "256x256". */
        public String size() {
            return width + "x" + height;
        }

        /** Name of the folder of its pictures. */
        String folder() {
            return method + "_" + size() + "_" + setting;
        }

        @Override
        public String toString() {
            return method + " " + size() + " " + setting;
        }
    }
}
