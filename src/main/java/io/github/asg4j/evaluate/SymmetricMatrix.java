// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

/** What FID needs of linear algebra, for matrices of at most a few hundred rows. */
final class SymmetricMatrix {
    /** Of the eigenvalues, relative to their spread. */
    private static final double PRECISION = 1e-13;

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
     * The eigenvalues, ascending: Householder's reduction to a tridiagonal matrix, then bisection
     * (Golub and Van Loan, Matrix Computations, 8.3 and 8.4).
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
        return bisected(diagonal, beside);
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

    /** Eigenvalues of a tridiagonal matrix, ascending: bisection on how many lie below a value. */
    private static double[] bisected(double[] diagonal, double[] beside) {
        int n = diagonal.length;
        double low = Double.POSITIVE_INFINITY;
        double high = Double.NEGATIVE_INFINITY;
        for (int i = 0; i < n; i++) { // Gershgorin's discs
            double radius = (i > 0 ? Math.abs(beside[i - 1]) : 0) + Math.abs(beside[i]);
            low = Math.min(low, diagonal[i] - radius);
            high = Math.max(high, diagonal[i] + radius);
        }
        double[] eigenvalues = new double[n];
        double from = low;
        for (int k = 0; k < n; k++) {
            double a = from;
            double b = high;
            double middle = a + (b - a) / 2;
            while (middle > a && middle < b && b - a > PRECISION * (high - low)) {
                if (below(diagonal, beside, middle) > k) {
                    b = middle;
                } else {
                    a = middle;
                }
                middle = a + (b - a) / 2;
            }
            eigenvalues[k] = middle;
            from = a;
        }
        return eigenvalues;
    }

    /** Eigenvalues below x: the negative pivots of the factorisation of T - x I. */
    private static int below(double[] diagonal, double[] beside, double x) {
        int count = 0;
        double pivot = 1;
        for (int i = 0; i < diagonal.length; i++) {
            double coupling = i == 0 ? 0 : beside[i - 1] * beside[i - 1];
            pivot = diagonal[i] - x - coupling / pivot;
            if (pivot == 0) {
                pivot = -Double.MIN_NORMAL;
            }
            count += pivot < 0 ? 1 : 0;
        }
        return count;
    }
}
