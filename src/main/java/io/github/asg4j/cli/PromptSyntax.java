// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.PromptOptions;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Syntax of other programs in prompts (weights, LoRA, embeddings, scheduled words) that the request's
 * own syntax takes as plain text. Parentheses of ordinary prose are none.
 */
final class PromptSyntax {
    private static final int MAX_SHOWN = 3;
    private static final int MAX_CHARACTERS = 40;

    private static final List<Pattern> OF_A1111 =
            List.of(
                    Pattern.compile("<(?:lora|lyco|hypernet):[^<>]*>", Pattern.CASE_INSENSITIVE),
                    Pattern.compile("(?<!\\\\)\\([^()]*:\\s*[+-]?\\d*\\.?\\d+\\s*\\)"),
                    Pattern.compile("(?<!\\\\)\\({2,}[^()]+\\){2,}"),
                    Pattern.compile("(?<!\\\\)\\[[^\\[\\]]+\\]"));

    /** What is none in AUTOMATIC1111's syntax either. */
    private static final List<Pattern> OF_OTHERS =
            List.of(
                    Pattern.compile("\\bembedding:\\S+", Pattern.CASE_INSENSITIVE),
                    Pattern.compile("\\{[^{}|]+\\|[^{}]*\\}"));

    /** Written large in a prompt that is not. */
    private static final Pattern KEYWORD = Pattern.compile("(?<!\\S)(?:BREAK|AND)(?![^\\s,.])");

    private PromptSyntax() {}

    /** What looks like syntax and is read as text, in the order of its kinds. */
    static List<String> in(String prompt, PromptOptions.Syntax syntax) {
        List<String> found = new ArrayList<>();
        if (syntax == PromptOptions.Syntax.PLAIN) {
            OF_A1111.forEach(pattern -> addAll(found, pattern.matcher(prompt)));
            if (prompt.chars().anyMatch(Character::isLowerCase)) {
                addAll(found, KEYWORD.matcher(prompt));
            }
        }
        OF_OTHERS.forEach(pattern -> addAll(found, pattern.matcher(prompt)));
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
    static List<String> warnings(String what, String prompt, PromptOptions.Syntax syntax) {
        List<String> found = in(prompt, syntax);
        if (found.isEmpty()) {
            return List.of();
        }
        StringBuilder shown = new StringBuilder();
        for (String each : found.subList(0, Math.min(MAX_SHOWN, found.size()))) {
            shown.append(shown.isEmpty() ? "" : ", ").append(Cli.shortened(each, MAX_CHARACTERS));
        }
        if (found.size() > MAX_SHOWN) {
            shown.append(" and ").append(found.size() - MAX_SHOWN).append(" more");
        }
        return List.of(
                "the "
                        + what
                        + " has syntax of other programs that is taken as plain text: "
                        + shown
                        + (found.equals(in(prompt, PromptOptions.Syntax.A1111))
                                ? ""
                                : "; --prompt-syntax a1111 applies AUTOMATIC1111's"));
    }
}
