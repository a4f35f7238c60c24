// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.prompt;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A prompt whose text may change from step to step, as in AUTOMATIC1111's web UI: {@code
 * [before:after:when]}, {@code [after:when]}, {@code [before::when]}, and {@code [a|b|c]}, which takes
 * turns. They may be nested. Brackets that are none of these stay as they are. Immutable.
 */
public final class ScheduledPrompt {
    /** Brackets within brackets; beyond that they are text. */
    private static final int MAX_DEPTH = 64;

    /** What ends a prompt: when, and the bracket. */
    private static final Pattern WHEN =
            Pattern.compile("\\s*([+-]?(?:\\d+\\.?\\d*|\\.\\d+)(?:[eE][+-]?\\d+)?)\\s*\\]");

    private final List<Node> nodes;

    private sealed interface Node {
        /**
         * The text in a step.
         *
         * @param step from 1
         */
        String at(int step, int steps);
    }

    private record Text(String text) implements Node {
        @Override
        public String at(int step, int steps) {
            return text;
        }
    }

    private record Sequence(List<Node> nodes) implements Node {
        @Override
        public String at(int step, int steps) {
            return join(nodes, step, steps);
        }
    }

    /** One text up to a step, another one after it. */
    private record Change(Node before, Node after, String when) implements Node {
        @Override
        public String at(int step, int steps) {
            return (step <= lastStep(steps) ? before : after).at(step, steps);
        }

        /** Last step of the text before: with a point in it a share of the steps, else a step. */
        private int lastStep(int steps) {
            double value = Double.parseDouble(when);
            return (int) Math.min(steps, when.indexOf('.') < 0 ? value : value * steps);
        }
    }

    private record Turns(List<Node> texts) implements Node {
        @Override
        public String at(int step, int steps) {
            return texts.get((step - 1) % texts.size()).at(step, steps);
        }
    }

    private ScheduledPrompt(List<Node> nodes) {
        this.nodes = nodes;
    }

    /** Reads a prompt. */
    public static ScheduledPrompt parse(String prompt) {
        return new ScheduledPrompt(new Parser(prompt).all());
    }

    /**
     * The text of a step, without schedules; weights and escapes are still in it.
     *
     * @param step from 1
     * @param steps of the whole schedule
     */
    public String at(int step, int steps) {
        return join(nodes, step, steps);
    }

    private static String join(List<Node> nodes, int step, int steps) {
        StringBuilder text = new StringBuilder();
        nodes.forEach(node -> text.append(node.at(step, steps)));
        return text.toString();
    }

    /** A parser by recursive descent. */
    private static final class Parser {
        private final String text;
        private int at;
        private int depth;

        Parser(String text) {
            this.text = text;
        }

        /** All nodes; what does not close or open a bracket of the syntax is text. */
        List<Node> all() {
            List<Node> nodes = new ArrayList<>();
            while (at < text.length()) {
                nodes.addAll(inner());
                if (at < text.length()) {
                    nodes.add(new Text(text.substring(at, ++at)));
                }
            }
            return nodes;
        }

        /** Nodes up to a colon, a bar, a closing bracket, or an opening one that nothing closes. */
        private List<Node> inner() {
            List<Node> nodes = new ArrayList<>();
            while (at < text.length()) {
                char c = text.charAt(at);
                if (c == '(' || c == '[') {
                    int start = at;
                    Node bracket = depth == MAX_DEPTH ? null : bracket();
                    if (bracket == null) {
                        at = start;
                        return nodes;
                    }
                    nodes.add(bracket);
                } else if (":|)]".indexOf(c) >= 0) {
                    return nodes;
                } else {
                    nodes.add(new Text(plain()));
                }
            }
            return nodes;
        }

        private String plain() {
            int start = at;
            while (at < text.length() && "()[]:|".indexOf(text.charAt(at)) < 0) {
                at += text.charAt(at) == '\\' && at + 1 < text.length() ? 2 : 1;
            }
            return text.substring(start, at);
        }

        private @Nullable Node bracket() {
            depth++;
            try {
                return text.charAt(at) == '(' ? round() : square();
            } finally {
                depth--;
            }
        }

        /** {@code (a)} or {@code (a:b)}: emphasis, which is read later. */
        private @Nullable Node round() {
            List<Node> nodes = new ArrayList<>();
            nodes.add(new Text(text.substring(at, ++at)));
            nodes.addAll(inner());
            if (is(':')) {
                nodes.add(new Text(text.substring(at, ++at)));
                nodes.addAll(inner());
            }
            if (!is(')')) {
                return null;
            }
            nodes.add(new Text(text.substring(at, ++at)));
            return new Sequence(nodes);
        }

        private @Nullable Node square() {
            at++;
            Node first = new Sequence(inner());
            if (is(']')) {
                at++;
                return new Sequence(List.of(new Text("["), first, new Text("]")));
            }
            if (is('|')) {
                return turns(first);
            }
            if (!is(':')) {
                return null;
            }
            at++;
            String when = when();
            if (when != null) {
                return new Change(new Text(""), first, when);
            }
            Node second = new Sequence(inner());
            if (!is(':')) {
                return null;
            }
            at++;
            when = when();
            return when == null ? null : new Change(first, second, when);
        }

        private @Nullable Node turns(Node first) {
            List<Node> texts = new ArrayList<>(List.of(first));
            while (is('|')) {
                at++;
                texts.add(new Sequence(inner()));
            }
            if (!is(']')) {
                return null;
            }
            at++;
            return new Turns(texts);
        }

        /** A number and the closing bracket behind it; null, and nothing is read: neither. */
        private @Nullable String when() {
            Matcher matcher = WHEN.matcher(text).region(at, text.length());
            if (!matcher.lookingAt()) {
                return null;
            }
            at = matcher.end();
            return matcher.group(1);
        }

        private boolean is(char c) {
            return at < text.length() && text.charAt(at) == c;
        }
    }
}
