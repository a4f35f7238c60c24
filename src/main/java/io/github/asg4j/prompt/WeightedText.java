// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.prompt;

import io.github.asg4j.BadRequestException;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Words of a prompt that have one weight.
 *
 * @param text without brackets and escapes
 * @param weight 1: as they are
 */
public record WeightedText(String text, double weight) {
    private static final double BRACKET = 1.1;

    private static final Pattern TOKEN =
            Pattern.compile(
                    "\\\\[()\\[\\]\\\\]|\\\\|[(\\[]|:\\s*([+-]?[.\\d]+)\\s*\\)|[)\\]]"
                            + "|[^\\\\()\\[\\]:]+|:");

    private static final Pattern BREAK = Pattern.compile("\\s*\\bBREAK\\b\\s*");

    /** Composes prompts in AUTOMATIC1111's web UI, which needs a pass of the network for each. */
    private static final Pattern AND = Pattern.compile("\\bAND\\b");

    /** Files that take part in the picture. */
    private static final Pattern NETWORK = Pattern.compile("<\\w+:[^<>]+>");

    /** What a break is among texts. */
    private static final WeightedText SECTION_END = new WeightedText("", Double.NaN);

    /**
     * The weighted words of a prompt as AUTOMATIC1111's web UI reads them: {@code (a)} weighs 1.1,
     * {@code [a]} 1/1.1, {@code (a:1.3)} 1.3, nested ones the product; brackets that nothing closes
     * reach to the end; a backslash makes a bracket text. {@code BREAK} ends a section, within
     * brackets too.
     *
     * @param prompt the text of a step
     * @return sections, at least one; neighbours of one weight are one text
     * @throws BadRequestException a weight is no number, or prompts are composed by AND
     */
    public static List<List<WeightedText>> sections(String prompt) {
        if (AND.matcher(prompt).find()) {
            throw new BadRequestException(
                    "AND composes prompts in AUTOMATIC1111's syntax, which is not supported"
                            + " here: write it in lower case, or use --prompt-syntax plain");
        }
        Matcher network = NETWORK.matcher(prompt);
        if (network.find()) {
            throw new BadRequestException(
                    network.group()
                            + " is not supported here: a prompt, but no negative or background"
                            + " prompt, may name LoRA files, as in <lora:style:0.8>; for the text"
                            + " itself use --prompt-syntax plain");
        }
        List<WeightedText> all = texts(prompt);
        List<List<WeightedText>> sections = new ArrayList<>();
        sections.add(new ArrayList<>());
        for (WeightedText next : all) {
            List<WeightedText> section = sections.getLast();
            if (next.isSectionEnd()) {
                sections.add(new ArrayList<>());
            } else if (!section.isEmpty() && section.getLast().weight == next.weight) {
                section.set(
                        section.size() - 1,
                        new WeightedText(section.getLast().text + next.text, next.weight));
            } else {
                section.add(next);
            }
        }
        return sections.stream().map(List::copyOf).toList();
    }

    /** The words of all sections as a text of its own. */
    public static String plain(List<List<WeightedText>> sections) {
        StringBuilder text = new StringBuilder();
        for (List<WeightedText> section : sections) {
            text.append(text.isEmpty() ? "" : " ");
            section.forEach(part -> text.append(part.text));
        }
        return text.toString();
    }

    private boolean isSectionEnd() {
        return Double.isNaN(weight);
    }

    private static List<WeightedText> texts(String prompt) {
        List<WeightedText> texts = new ArrayList<>();
        Deque<Integer> round = new ArrayDeque<>();
        Deque<Integer> square = new ArrayDeque<>();
        Matcher token = TOKEN.matcher(prompt);
        while (token.find()) {
            String found = token.group();
            if (found.startsWith("\\")) {
                texts.add(new WeightedText(found.substring(1), 1));
            } else if (found.equals("(")) {
                round.push(texts.size());
            } else if (found.equals("[")) {
                square.push(texts.size());
            } else if (token.group(1) != null && !round.isEmpty()) {
                weigh(texts, round.pop(), number(token.group(1)));
            } else if (found.equals(")") && !round.isEmpty()) {
                weigh(texts, round.pop(), BRACKET);
            } else if (found.equals("]") && !square.isEmpty()) {
                weigh(texts, square.pop(), 1 / BRACKET);
            } else {
                words(texts, found);
            }
        }
        round.forEach(from -> weigh(texts, from, BRACKET));
        square.forEach(from -> weigh(texts, from, 1 / BRACKET));
        return texts;
    }

    private static void words(List<WeightedText> texts, String found) {
        String[] parts = BREAK.split(found, -1);
        for (int i = 0; i < parts.length; i++) {
            if (i > 0) {
                texts.add(SECTION_END);
            }
            texts.add(new WeightedText(parts[i], 1));
        }
    }

    private static void weigh(List<WeightedText> texts, int from, double factor) {
        for (int i = from; i < texts.size(); i++) {
            WeightedText text = texts.get(i);
            if (!text.isSectionEnd()) {
                texts.set(i, new WeightedText(text.text, text.weight * factor));
            }
        }
    }

    private static double number(String text) {
        try {
            return Double.parseDouble(text);
        } catch (NumberFormatException e) {
            throw new BadRequestException(
                    "'" + text + "' is no weight: write a number, as in (red:1.3)", e);
        }
    }
}
