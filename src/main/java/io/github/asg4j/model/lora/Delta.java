// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.lora;

/** A change of a weight as it is computed, row by row: float32, never held whole where it need not. */
sealed interface Delta {
    /** Extent of the first axis, the layer's outputs. */
    int rows();

    /** Elements of a row: inputs, times the kernel's of a convolution. */
    int columns();

    /**
     * Adds {@code scale} times a row.
     *
     * @param sum of {@code columns} elements
     */
    void addRow(int row, float scale, float[] sum);

    /**
     * The product of two small matrices (LoRA, LoCon): {@code up @ down}.
     *
     * @param up {@code [rows, rank]}
     * @param down {@code [rank, columns]}
     */
    record LowRank(int rows, int rank, int columns, float[] up, float[] down) implements Delta {
        @Override
        public void addRow(int row, float scale, float[] sum) {
            for (int k = 0; k < rank; k++) {
                float factor = scale * up[row * rank + k];
                int from = k * columns;
                for (int i = 0; i < columns; i++) {
                    sum[i] += factor * down[from + i];
                }
            }
        }
    }

    /** The product, element by element, of two such matrices (LoHa). */
    record Hadamard(LowRank one, LowRank other) implements Delta {
        @Override
        public int rows() {
            return one.rows();
        }

        @Override
        public int columns() {
            return one.columns();
        }

        @Override
        public void addRow(int row, float scale, float[] sum) {
            float[] left = new float[columns()];
            float[] right = new float[columns()];
            one.addRow(row, scale, left);
            other.addRow(row, 1, right);
            for (int i = 0; i < left.length; i++) {
                sum[i] += left[i] * right[i];
            }
        }
    }

    /**
     * The Kronecker product of two matrices (LoKr): each element of the first times the second.
     *
     * @param first {@code [firstRows, firstColumns]}
     * @param second {@code [secondRows, secondColumns]}
     */
    record Kronecker(
            int firstRows,
            int firstColumns,
            int secondRows,
            int secondColumns,
            float[] first,
            float[] second)
            implements Delta {
        @Override
        public int rows() {
            return firstRows * secondRows;
        }

        @Override
        public int columns() {
            return firstColumns * secondColumns;
        }

        @Override
        public void addRow(int row, float scale, float[] sum) {
            int outer = row / secondRows * firstColumns;
            int inner = row % secondRows * secondColumns;
            for (int j = 0; j < firstColumns; j++) {
                float factor = scale * first[outer + j];
                for (int i = 0; i < secondColumns; i++) {
                    sum[j * secondColumns + i] += factor * second[inner + i];
                }
            }
        }
    }

    /**
     * The whole change.
     *
     * @param change {@code [rows, columns]}
     */
    record Full(int rows, int columns, float[] change) implements Delta {
        @Override
        public void addRow(int row, float scale, float[] sum) {
            for (int i = 0; i < columns; i++) {
                sum[i] += scale * change[row * columns + i];
            }
        }
    }
}
