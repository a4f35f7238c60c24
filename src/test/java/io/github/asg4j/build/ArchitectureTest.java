// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.build;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.Dependency;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaCodeUnit;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.domain.JavaParameterizedType;
import com.tngtech.archunit.core.domain.JavaType;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.lang.ArchCondition;
import com.tngtech.archunit.lang.ArchRule;
import com.tngtech.archunit.lang.ConditionEvents;
import com.tngtech.archunit.lang.SimpleConditionEvent;

import org.junit.jupiter.api.Test;

import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * Who may import whom. A package may import those below it and, from the root, the value types:
 * everything but {@code Engine}. The root imports {@code image} only, and {@code Engine} one more
 * class, {@code run.LocalEngine}.
 *
 * <p>The rules run twice: on the engine, where they must find nothing, and on {@code fixture},
 * whose classes break each of them once.
 */
class ArchitectureTest {
    private static final String BASE = "io.github.asg4j";
    private static final String FIXTURE = BASE + ".build.fixture";

    /**
     * Every package of the engine, top to bottom; those of equal rank do not import each other. "" is
     * the root package. A package inside another one has a rank of its own.
     */
    private static final Map<String, Integer> RANKS =
            Map.ofEntries(
                    Map.entry("cli", 0),
                    Map.entry("batch", 1),
                    Map.entry("evaluate", 1),
                    Map.entry("server", 1),
                    Map.entry("", 2),
                    Map.entry("run", 3),
                    Map.entry("run.report", 4),
                    Map.entry("run.start", 5),
                    Map.entry("run.picture", 5),
                    Map.entry("run.denoise", 6),
                    Map.entry("run.work", 7),
                    Map.entry("run.worker", 8),
                    Map.entry("planning", 9),
                    Map.entry("method", 10),
                    Map.entry("plan", 11),
                    Map.entry("prompt", 11),
                    Map.entry("model", 12),
                    Map.entry("image", 12),
                    Map.entry("schedule", 15),
                    Map.entry("model.lora", 13),
                    Map.entry("model.checkpoint", 14),
                    Map.entry("kernel", 16),
                    Map.entry("ort", 17),
                    Map.entry("device", 18),
                    Map.entry("ffi", 19));

    @Test
    void engineKeepsTheRules() {
        JavaClasses engine =
                new ClassFileImporter()
                        .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
                        .importPackages(BASE);
        for (ArchRule rule : rules(BASE)) {
            rule.check(engine);
        }
    }

    @Test
    void eachRuleFindsItsViolation() {
        JavaClasses fixture = new ClassFileImporter().importPackages(FIXTURE);
        List<String> found = new ArrayList<>();
        for (ArchRule rule : rules(FIXTURE)) {
            rule.evaluate(fixture)
                    .getFailureReport()
                    .getDetails()
                    .forEach(detail -> found.add(detail.replace(FIXTURE + ".", "")));
        }
        for (String culprit :
                List.of(
                        "schedule.ReachesUp imports run.Work",
                        "image.ImportsEngine imports Engine",
                        "image.ImportsSibling imports model.Table",
                        "Request imports run.Work",
                        "Engine imports run.Work",
                        "Request imports plan.Links",
                        "elsewhere.Stray is in no package of the design",
                        "run.cellar.Hidden is in no package of the design",
                        "run.work.KnowsAbove imports run.Work",
                        "run.worker.KnowsUnits imports run.work.Units",
                        "run.start.KnowsSibling imports run.picture.Pixels",
                        "method.Plans imports planning.Plans",
                        "plan.Links",
                        "ffi.Bytedeco",
                        "run.Cli",
                        "run.Http",
                        "run.Tar",
                        "run.Work.floats(",
                        "run.Work.nested(",
                        "run.Work.buffer(")) {
            assertEquals(
                    1,
                    found.stream().filter(line -> line.contains(culprit)).limit(1).count(),
                    () -> culprit + " not among " + found);
        }
        // What is allowed stays unmentioned.
        assertEquals(
                List.of(),
                found.stream()
                        .filter(
                                line ->
                                        line.contains("imports Request")
                                                || line.contains("imports run.LocalEngine"))
                        .toList());
    }

    private static List<ArchRule> rules(String base) {
        return Stream.of(
                        classes().should(importOnlyBelow(base)),
                        only(base, "ort", "org.bytedeco", resideInAnyPackage("org.bytedeco..")),
                        only(base, "cli", "picocli", resideInAnyPackage("picocli..")),
                        only(
                                base,
                                "server",
                                "Jetty and Micrometer",
                                resideInAnyPackage("org.eclipse.jetty..", "io.micrometer..")),
                        only(
                                base,
                                "batch",
                                "CSV, Parquet and tar",
                                resideInAnyPackage(
                                        "com.fasterxml.jackson.dataformat..",
                                        "dev.hardwood..",
                                        "org.apache.commons.compress..")),
                        only(base, "ffi", "the linker", linker()),
                        classes()
                                .that()
                                .resideInAnyPackage(
                                        base + ".run..", base + ".ort..", base + ".device..")
                                .should(keepTensorsOffHeap()))
                .map(rule -> rule.allowEmptyShould(true))
                .toList();
    }

    private static ArchRule only(
            String base, String name, String what, DescribedPredicate<JavaClass> library) {
        return noClasses()
                .that()
                .resideOutsideOfPackage(base + "." + name + "..")
                .should()
                .dependOnClassesThat(library)
                .as("only ." + name + " uses " + what);
    }

    private static DescribedPredicate<JavaClass> linker() {
        return DescribedPredicate.describe(
                "are Linker or SymbolLookup",
                type ->
                        type.getName().startsWith("java.lang.foreign.Linker")
                                || type.getName().startsWith("java.lang.foreign.SymbolLookup"));
    }

    private static ArchCondition<JavaClass> importOnlyBelow(String base) {
        return new ArchCondition<>("import only what stands below") {
            @Override
            public void check(JavaClass type, ConditionEvents events) {
                String from = layer(base, type);
                if (!RANKS.containsKey(from)) {
                    String message = type.getName() + " is in no package of the design";
                    events.add(SimpleConditionEvent.violated(type, message));
                    return;
                }
                for (Dependency dependency : type.getDirectDependenciesFromSelf()) {
                    JavaClass target = dependency.getTargetClass().getBaseComponentType();
                    if (!inside(base, target) || mayImport(base, type, target)) {
                        continue;
                    }
                    String message = type.getName() + " imports " + target.getName();
                    events.add(SimpleConditionEvent.violated(type, message));
                }
            }
        };
    }

    private static boolean mayImport(String base, JavaClass type, JavaClass target) {
        String from = layer(base, type);
        String to = layer(base, target);
        if (from.equals(to)) {
            return true;
        }
        if (to.isEmpty()) {
            return RANKS.get(from) < RANKS.get("") || !isEngine(base, target);
        }
        if (from.isEmpty() && !to.equals("image")) {
            return isEngine(base, type) && target.getName().equals(base + ".run.LocalEngine");
        }
        return RANKS.getOrDefault(to, -1) > RANKS.get(from);
    }

    private static boolean isEngine(String base, JavaClass type) {
        String name = type.getName();
        return name.equals(base + ".Engine") || name.startsWith(base + ".Engine$");
    }

    private static boolean inside(String base, JavaClass type) {
        return type.getPackageName().equals(base) || type.getPackageName().startsWith(base + ".");
    }

    /** The package below the base: "run.work" for {@code base.run.work}, "" for the base itself. */
    private static String layer(String base, JavaClass type) {
        String name = type.getPackageName();
        return name.equals(base) ? "" : name.substring(base.length() + 1);
    }

    private static ArchCondition<JavaClass> keepTensorsOffHeap() {
        return new ArchCondition<>("have no float[] or FloatBuffer in a signature") {
            @Override
            public void check(JavaClass type, ConditionEvents events) {
                for (JavaCodeUnit unit : type.getCodeUnits()) {
                    if (unit.getModifiers().contains(JavaModifier.SYNTHETIC)) {
                        continue;
                    }
                    List<JavaType> types = new ArrayList<>(unit.getParameterTypes());
                    types.add(unit.getReturnType());
                    types.stream()
                            .flatMap(part -> rawTypes(part))
                            .filter(ArchitectureTest::isHeapTensor)
                            .forEach(
                                    part ->
                                            events.add(
                                                    SimpleConditionEvent.violated(
                                                            unit,
                                                            unit.getFullName()
                                                                    + " has "
                                                                    + part.getName())));
                }
            }
        };
    }

    /** The type and its type arguments; ArchUnit's own list of them reduces arrays to elements. */
    private static Stream<JavaClass> rawTypes(JavaType type) {
        if (type instanceof JavaParameterizedType parameterized) {
            return Stream.concat(
                    Stream.of(type.toErasure()),
                    parameterized.getActualTypeArguments().stream()
                            .flatMap(ArchitectureTest::rawTypes));
        }
        return Stream.of(type.toErasure());
    }

    private static boolean isHeapTensor(JavaClass type) {
        return type.isEquivalentTo(FloatBuffer.class) || type.getName().matches("\\[+F");
    }
}
