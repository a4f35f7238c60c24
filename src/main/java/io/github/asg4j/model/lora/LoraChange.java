// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.lora;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.model.checkpoint.ElementType;
import io.github.asg4j.model.checkpoint.Elements;
import io.github.asg4j.model.checkpoint.Tensor;
import io.github.asg4j.model.lora.LoraName.Role;

import org.jspecify.annotations.Nullable;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What a LoRA file changes of one layer: tensors whose shapes fit together. The elements are read when
 * they are asked for.
 */
final class LoraChange {
    private static final Set<Role> LOW_RANK = EnumSet.of(Role.DOWN, Role.UP, Role.MID);
    private static final Set<Role> HADAMARD =
            EnumSet.of(
                    Role.HADA_W1_A,
                    Role.HADA_W1_B,
                    Role.HADA_W2_A,
                    Role.HADA_W2_B,
                    Role.HADA_T1,
                    Role.HADA_T2);
    private static final Set<Role> KRONECKER =
            EnumSet.of(
                    Role.LOKR_W1,
                    Role.LOKR_W1_A,
                    Role.LOKR_W1_B,
                    Role.LOKR_W2,
                    Role.LOKR_W2_A,
                    Role.LOKR_W2_B,
                    Role.LOKR_T2);

    private final Path file;
    private final String layer;
    private final Map<Role, Tensor> tensors;
    private final Set<Role> form;
    private final long rows;
    private final long columns;
    private final long rank;

    /**
     * @param layer the name of the layer in the file, for messages
     * @throws BadRequestException if tensors are missing, or their shapes do not fit together
     */
    LoraChange(Path file, String layer, Map<Role, Tensor> tensors) {
        this.file = file;
        this.layer = layer;
        this.tensors = Map.copyOf(tensors);
        this.form = form();
        tensors.forEach(this::requireNumbers);
        if (form.equals(LOW_RANK)) {
            Tensor up = need(Role.UP);
            Tensor down = need(Role.DOWN);
            rows = first(up);
            rank = first(down);
            Tensor mid = tensors.get(Role.MID);
            columns = perRow(down) * (mid == null ? 1 : kernel(mid));
            long inner = mid == null ? rank : first(mid);
            require(perRow(up) == inner && (mid == null || second(mid) == rank));
        } else if (form.equals(HADAMARD)) {
            Tensor a = need(Role.HADA_W1_A);
            Tensor b = need(Role.HADA_W1_B);
            Tensor t = tensors.get(Role.HADA_T1);
            rows = t == null ? first(a) : perRow(a);
            rank = first(b);
            columns = perRow(b) * (t == null ? 1 : kernel(t));
            require(
                    shapes(Role.HADA_W1_A, Role.HADA_W1_B, Role.HADA_T1)
                            && shapes(Role.HADA_W2_A, Role.HADA_W2_B, Role.HADA_T2));
        } else if (form.equals(KRONECKER)) {
            Shape one = factor(Role.LOKR_W1, Role.LOKR_W1_A, Role.LOKR_W1_B, null);
            Shape two = factor(Role.LOKR_W2, Role.LOKR_W2_A, Role.LOKR_W2_B, Role.LOKR_T2);
            rows = one.rows() * two.rows();
            columns = one.columns() * two.columns();
            rank = two.rank() > 0 ? two.rank() : one.rank();
        } else {
            Tensor whole = tensors.get(Role.FULL);
            Tensor given = whole == null ? need(Role.FULL_BIAS) : whole;
            rows = first(given);
            columns = perRow(given);
            rank = 0;
        }
        checkLengths();
    }

    /** Rows and columns of a factor, and its rank, 0 if it is whole. */
    private record Shape(long rows, long columns, long rank) {}

    private Set<Role> form() {
        for (Set<Role> set : List.of(LOW_RANK, HADAMARD, KRONECKER)) {
            if (tensors.keySet().stream().anyMatch(set::contains)) {
                return set;
            }
        }
        return Set.of();
    }

    /** Two factors of a Hadamard product, and what lies between them. */
    private boolean shapes(Role left, Role right, Role between) {
        Tensor a = need(left);
        Tensor b = need(right);
        Tensor t = tensors.get(between);
        if (t == null) {
            return first(a) == rows && perRow(a) == first(b) && perRow(b) == columns;
        }
        return perRow(a) == rows
                && first(a) == first(t)
                && second(t) == first(b)
                && perRow(b) * kernel(t) == columns;
    }

    private Shape factor(Role whole, Role left, Role right, @Nullable Role between) {
        Tensor given = tensors.get(whole);
        if (given != null) {
            return new Shape(first(given), perRow(given), 0);
        }
        Tensor a = need(left);
        Tensor b = need(right);
        Tensor t = between == null ? null : tensors.get(between);
        if (t == null) {
            require(perRow(a) == first(b));
            return new Shape(first(a), perRow(b), first(b));
        }
        require(first(a) == first(t) && second(t) == first(b));
        return new Shape(perRow(a), perRow(b) * kernel(t), first(b));
    }

    private void checkLengths() {
        Tensor magnitude = tensors.get(Role.MAGNITUDE);
        require(magnitude == null || magnitude.count() == rows);
        Tensor scale = tensors.get(Role.DORA_SCALE);
        require(
                scale == null
                        || (byRow(scale)
                                ? scale.count() == rows
                                : columns % Math.max(scale.count(), 1) == 0));
        require(rows > 0 && columns > 0 && columns <= Integer.MAX_VALUE / rows);
    }

    private Tensor need(Role role) {
        Tensor tensor = tensors.get(role);
        if (tensor == null) {
            throw new BadRequestException(
                    "LoRA "
                            + file
                            + ": \""
                            + layer
                            + "\" lacks its "
                            + role
                            + ": the file is incomplete; download it again");
        }
        return tensor;
    }

    /** Alpha may be a whole number. */
    private void requireNumbers(Role role, Tensor tensor) {
        boolean whole = tensor.type() == ElementType.I64 || tensor.type() == ElementType.I32;
        if (!tensor.type().isFloat() && !(role == Role.ALPHA && whole)) {
            throw new BadRequestException(
                    "LoRA "
                            + file
                            + ": \""
                            + tensor.name()
                            + "\" is of type "
                            + tensor.type()
                            + ", not of floating-point numbers");
        }
    }

    private void require(boolean fits) {
        if (!fits) {
            throw new BadRequestException(
                    "LoRA "
                            + file
                            + ": the shapes of \""
                            + layer
                            + "\" do not fit together: "
                            + tensors.values().stream()
                                    .map(t -> t.name() + " " + t.shape())
                                    .sorted()
                                    .toList()
                            + ". The file is damaged");
        }
    }

    private static long first(Tensor tensor) {
        return tensor.shape().isEmpty() ? 1 : tensor.shape().getFirst();
    }

    private static long second(Tensor tensor) {
        return tensor.shape().size() < 2 ? 1 : tensor.shape().get(1);
    }

    private static long perRow(Tensor tensor) {
        return tensor.count() / Math.max(first(tensor), 1);
    }

    /** Positions of a convolution's kernel. */
    private static long kernel(Tensor tensor) {
        return tensor.shape().stream().skip(2).reduce(1L, (a, b) -> a * b);
    }

    /** Name of the layer in the file. */
    String layer() {
        return layer;
    }

    /** Whether it changes a bias, not a weight. */
    boolean ofBias() {
        return tensors.containsKey(Role.FULL_BIAS);
    }

    long rows() {
        return rows;
    }

    long columns() {
        return columns;
    }

    /** Rank that alpha is divided by; 0: there is none. */
    long rank() {
        return rank;
    }

    /** Alpha as the file gives it for this layer; null: it does not. */
    @Nullable Double alpha() {
        Tensor alpha = tensors.get(Role.ALPHA);
        return alpha == null || alpha.count() == 0 ? null : (double) Elements.of(alpha)[0];
    }

    boolean isDora() {
        return tensors.containsKey(Role.MAGNITUDE) || tensors.containsKey(Role.DORA_SCALE);
    }

    /** Whether it is DoRA that gives lengths to input channels. */
    boolean isOfColumns() {
        Tensor scale = tensors.get(Role.DORA_SCALE);
        return scale != null && !byRow(scale);
    }

    /** Lengths that DoRA gives rows, or input channels; null: it is no DoRA. */
    @Nullable Lengths lengths() {
        Tensor magnitude = tensors.get(Role.MAGNITUDE);
        if (magnitude != null) {
            return new Lengths(true, Elements.of(magnitude));
        }
        Tensor scale = tensors.get(Role.DORA_SCALE);
        return scale == null ? null : new Lengths(byRow(scale), Elements.of(scale));
    }

    /**
     * DoRA's part of a change.
     *
     * @param byRow whether they are of rows, or else of input channels
     */
    record Lengths(boolean byRow, float[] values) {}

    /** {@code [out, 1, ...]} is by row, {@code [1, in, ...]} by input channel. */
    private static boolean byRow(Tensor scale) {
        return first(scale) == scale.count();
    }

    /** Reads the elements. */
    Delta delta() {
        if (form.equals(LOW_RANK)) {
            return lowRank(Role.UP, Role.DOWN, Role.MID, false);
        }
        if (form.equals(HADAMARD)) {
            return new Delta.Hadamard(
                    lowRank(Role.HADA_W1_A, Role.HADA_W1_B, Role.HADA_T1, true),
                    lowRank(Role.HADA_W2_A, Role.HADA_W2_B, Role.HADA_T2, true));
        }
        if (form.equals(KRONECKER)) {
            Shape one = factor(Role.LOKR_W1, Role.LOKR_W1_A, Role.LOKR_W1_B, null);
            Shape two = factor(Role.LOKR_W2, Role.LOKR_W2_A, Role.LOKR_W2_B, Role.LOKR_T2);
            return new Delta.Kronecker(
                    (int) one.rows(),
                    (int) one.columns(),
                    (int) two.rows(),
                    (int) two.columns(),
                    product(Role.LOKR_W1, Role.LOKR_W1_A, Role.LOKR_W1_B, null),
                    product(Role.LOKR_W2, Role.LOKR_W2_A, Role.LOKR_W2_B, Role.LOKR_T2));
        }
        Tensor whole = tensors.get(Role.FULL);
        return new Delta.Full(
                (int) rows,
                (int) columns,
                Elements.of(whole == null ? need(Role.FULL_BIAS) : whole));
    }

    /**
     * Two matrices, and what lies between them drawn into the second.
     *
     * @param transposed whether the first has its rank first where something lies between
     */
    private Delta.LowRank lowRank(
            Role left, Role right, @Nullable Role between, boolean transposed) {
        Tensor a = need(left);
        Tensor b = need(right);
        Tensor t = between == null ? null : tensors.get(between);
        float[] up = Elements.of(a);
        float[] down = Elements.of(b);
        if (t == null) {
            return new Delta.LowRank((int) first(a), (int) perRow(a), (int) perRow(b), up, down);
        }
        int outer = (int) first(t);
        return new Delta.LowRank(
                (int) (transposed ? perRow(a) : first(a)),
                outer,
                (int) (perRow(b) * kernel(t)),
                transposed ? transpose(up, outer) : up,
                through(Elements.of(t), outer, (int) kernel(t), down, (int) first(b)));
    }

    private static float[] transpose(float[] matrix, int rows) {
        int columns = matrix.length / rows;
        float[] out = new float[matrix.length];
        for (int i = 0; i < out.length; i++) {
            out[i] = matrix[i % rows * columns + i / rows];
        }
        return out;
    }

    /**
     * {@code out[a, i, s] = sum over b of core[a, b, s] * down[b, i]}.
     *
     * @param outer extent of a
     * @param kernel extent of s
     * @param inner extent of b
     */
    private static float[] through(float[] core, int outer, int kernel, float[] down, int inner) {
        int in = down.length / inner;
        float[] out = new float[outer * in * kernel];
        for (int a = 0; a < outer; a++) {
            for (int b = 0; b < inner; b++) {
                for (int i = 0; i < in; i++) {
                    float factor = down[b * in + i];
                    for (int s = 0; s < kernel; s++) {
                        out[(a * in + i) * kernel + s] +=
                                core[(a * inner + b) * kernel + s] * factor;
                    }
                }
            }
        }
        return out;
    }

    /** A factor of a Kronecker product, whole. */
    private float[] product(Role whole, Role left, Role right, @Nullable Role between) {
        Tensor given = tensors.get(whole);
        if (given != null) {
            return Elements.of(given);
        }
        Delta.LowRank low = lowRank(left, right, between, true);
        float[] out = new float[low.rows() * low.columns()];
        float[] row = new float[low.columns()];
        for (int r = 0; r < low.rows(); r++) {
            Arrays.fill(row, 0);
            low.addRow(r, 1, row);
            System.arraycopy(row, 0, out, r * row.length, row.length);
        }
        return out;
    }
}
