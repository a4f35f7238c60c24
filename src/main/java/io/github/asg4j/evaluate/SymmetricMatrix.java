// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import java.util.Arrays;

/** What FID needs of linear algebra, for matrices of at most a few hundred rows. */
final class SymmetricMatrix {
    /** Most steps for one eigenvalue; two or three are usual. */
    private static final int MAX_STEPS = 100;

    private SymmetricMatrix() {}

    /** L of A = L L^T, A positive semidefinite: where a pivot vanishes, so does its column. */
    static double[][] cholesky(double[][] a) {
        int n = a.length;
        double largest = 0;
        for (int i = 0; i < n; i++) {
            largest = Math.max(largest, a[i][i]);
        }
        double[][] factor = new double[n][n];
        for (int j = 0; j < n; j++) {
            double pivot = a[j][j];
            for (int k = 0; k < j; k++) {
                pivot -= factor[j][k] * factor[j][k];
            }
            if (pivot <= 1e-12 * largest) {
                continue;
            }
            factor[j][j] = Math.sqrt(pivot);
            for (int i = j + 1; i < n; i++) {
                double sum = a[i][j];
                for (int k = 0; k < j; k++) {
                    sum -= factor[i][k] * factor[j][k];
                }
                factor[i][j] = sum / factor[j][j];
            }
        }
        return factor;
    }

    /** L^T A L. */
    static double[][] congruent(double[][] factor, double[][] a) {
        int n = a.length;
        double[][] half = new double[n][n]; // A L
        for (int i = 0; i < n; i++) {
            for (int k = 0; k < n; k++) {
                double x = a[i][k];
                for (int j = 0; j <= k; j++) {
                    half[i][j] += x * factor[k][j];
                }
            }
        }
        double[][] out = new double[n][n];
        for (int k = 0; k < n; k++) {
            for (int i = 0; i <= k; i++) {
                double x = factor[k][i];
                for (int j = 0; j < n; j++) {
                    out[i][j] += x * half[k][j];
                }
            }
        }
        return out;
    }

    /**
     * The eigenvalues, ascending: Householder's reduction to a tridiagonal matrix, then
     * QR steps (Golub and Van Loan, Matrix Computations, 8.3).
     *
     * @param a symmetric; only its lower triangle is read
     */
    static double[] eigenvalues(double[][] a) {
        int n = a.length;
        double[][] m = new double[n][];
        for (int i = 0; i < n; i++) {
            m[i] = a[i].clone();
        }
        double[] beside = new double[n]; // beside[i]: between rows i and i + 1
        double[] diagonal = new double[n];
        double[] v = new double[n];
        double[] p = new double[n];
        for (int k = 0; k < n - 2; k++) {
            double norm = 0;
            for (int i = k + 1; i < n; i++) {
                norm += m[i][k] * m[i][k];
            }
            norm = Math.sqrt(norm);
            double alpha = m[k + 1][k] > 0 ? -norm : norm;
            beside[k] = alpha;
            double square = 0;
            for (int i = k + 1; i < n; i++) {
                v[i] = m[i][k] - (i == k + 1 ? alpha : 0);
                square += v[i] * v[i];
            }
            if (square == 0) {
                continue;
            }
            reflect(m, v, p, 2 / square, k + 1);
        }
        if (n > 1) {
            beside[n - 2] = m[n - 1][n - 2];
        }
        for (int i = 0; i < n; i++) {
            diagonal[i] = m[i][i];
        }
        diagonalise(diagonal, beside);
        Arrays.sort(diagonal);
        return diagonal;
    }

    /** A := H A H with H = I - beta v v^T, rows and columns from {@code first}; lower triangle. */
    private static void reflect(double[][] m, double[] v, double[] p, double beta, int first) {
        int n = m.length;
        double inner = 0;
        for (int i = first; i < n; i++) {
            double sum = 0;
            for (int j = first; j < n; j++) {
                sum += (j <= i ? m[i][j] : m[j][i]) * v[j];
            }
            p[i] = beta * sum;
            inner += p[i] * v[i];
        }
        double half = beta * inner / 2;
        for (int i = first; i < n; i++) {
            p[i] -= half * v[i];
        }
        for (int i = first; i < n; i++) {
            for (int j = first; j <= i; j++) {
                m[i][j] -= v[i] * p[j] + p[i] * v[j];
            }
        }
    }

    /**
     * Turns a tridiagonal matrix into its eigenvalues: QR steps with Wilkinson's shift, each a
     * product of rotations that chase the entry outside of the band downwards.
     *
     * @param d the diagonal, then the eigenvalues
     * @param e beside the diagonal; destroyed
     */
    private static void diagonalise(double[] d, double[] e) {
        double norm = 0;
        for (int i = 0; i < d.length; i++) {
            norm = Math.max(norm, Math.abs(d[i]) + Math.abs(e[i]));
        }
        double negligible = Math.ulp(norm);
        int steps = 0;
        for (int high = d.length - 1; high > 0; ) {
            int low = high;
            while (low > 0 && Math.abs(e[low - 1]) > negligible) {
                low--;
            }
            if (low == high) {
                high--;
                steps = 0;
                continue;
            }
            if (++steps > MAX_STEPS) {
                throw new ArithmeticException("eigenvalues do not converge: not finite?");
            }
            double half = (d[high - 1] - d[high]) / 2;
            double side = e[high - 1];
            double root = half < 0 ? -Math.hypot(half, side) : Math.hypot(half, side);
            double x = d[low] - (d[high] - side * side / (half + root));
            double z = e[low];
            for (int k = low; k < high; k++) {
                double r = Math.hypot(x, z);
                double c = r == 0 ? 1 : x / r;
                double s = r == 0 ? 0 : z / r;
                if (k > low) {
                    e[k - 1] = r;
                }
                double upper = d[k];
                double lower = d[k + 1];
                double between = 2 * c * s * e[k];
                d[k] = c * c * upper + between + s * s * lower;
                d[k + 1] = s * s * upper - between + c * c * lower;
                e[k] = c * s * (lower - upper) + (c * c - s * s) * e[k];
                x = e[k];
                if (k + 1 < high) {
                    z = s * e[k + 1];
                    e[k + 1] *= c;
                }
            }
        }
    }
}
