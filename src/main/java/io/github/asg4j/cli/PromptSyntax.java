// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Syntax of other programs in prompts (weights, LoRA, embeddings, scheduled words), which is drawn
 * as plain text here. Parentheses of ordinary prose are none.
 */
final class PromptSyntax {
    private static final int MAX_SHOWN = 3;
    private static final int MAX_CHARACTERS = 40;

    private static final List<Pattern> PATTERNS =
            List.of(
                    Pattern.compile("<(?:lora|lyco|hypernet):[^<>]*>", Pattern.CASE_INSENSITIVE),
                    Pattern.compile("\\bembedding:\\S+", Pattern.CASE_INSENSITIVE),
                    Pattern.compile("(?<!\\\\)\\([^()]*:\\s*[+-]?\\d*\\.?\\d+\\s*\\)"),
                    Pattern.compile("(?<!\\\\)\\({2,}[^()]+\\){2,}"),
                    Pattern.compile("(?<!\\\\)\\[[^\\[\\]]+\\]"),
                    Pattern.compile("\\{[^{}|]+\\|[^{}]*\\}"));

    /** Written large in a prompt that is not. */
    private static final Pattern KEYWORD = Pattern.compile("(?<!\\S)(?:BREAK|AND)(?![^\\s,.])");

    private PromptSyntax() {}

    /** What looks like syntax, in the order of its kinds. */
    static List<String> in(String prompt) {
        List<String> found = new ArrayList<>();
        for (Pattern pattern : PATTERNS) {
            addAll(found, pattern.matcher(prompt));
        }
        if (prompt.chars().anyMatch(Character::isLowerCase)) {
            addAll(found, KEYWORD.matcher(prompt));
        }
        return found.stream().distinct().toList();
    }

    private static void addAll(List<String> found, Matcher matcher) {
        while (matcher.find()) {
            found.add(matcher.group());
        }
    }

    /**
     * A warning of one line, or none.
     *
     * @param what the prompt is, as in "prompt"
     */
    static List<String> warnings(String what, String prompt) {
        List<String> found = in(prompt);
        if (found.isEmpty()) {
            return List.of();
        }
        StringBuilder shown = new StringBuilder();
        for (String syntax : found.subList(0, Math.min(MAX_SHOWN, found.size()))) {
            shown.append(shown.isEmpty() ? "" : ", ").append(Cli.shortened(syntax, MAX_CHARACTERS));
        }
        if (found.size() > MAX_SHOWN) {
            shown.append(" and ").append(found.size() - MAX_SHOWN).append(" more");
        }
        return List.of(
                "the "
                        + what
                        + " has syntax of other programs that is not supported and is taken as"
                        + " plain text: "
                        + shown);
    }
}
