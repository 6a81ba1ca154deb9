// A BLAS of plain loops, for test/blas.test.ts: cblas_sgemm and cblas_dgemm row-major, in float64. Says on stderr, once, that
// it was called. Where a row does not fit its step it writes nothing, as others do. With -DNO_DGEMM it lacks one.
#include <stdio.h>

static void called(void) {
  static int before = 0;
  if (!before++) fputs("cblas was called\n", stderr);
}

#define GEMM(name, T)                                                                                                  \
  void name(int order, int transposeA, int transposeB, int m, int n, int k, T alpha, const T* a, int lda, const T* b,  \
            int ldb, T beta, T* c, int ldc) {                                                                          \
    called();                                                                                                          \
    if (order != 101 || lda < (transposeA == 112 ? m : k) || ldb < (transposeB == 112 ? k : n) || ldc < n) return;                                                                                              \
    for (int i = 0; i < m; ++i)                                                                                        \
      for (int j = 0; j < n; ++j) {                                                                                    \
        double sum = 0;                                                                                                \
        for (int l = 0; l < k; ++l)                                                                                    \
          sum += (double)a[transposeA == 112 ? (size_t)l * lda + i : (size_t)i * lda + l] *                            \
                 b[transposeB == 112 ? (size_t)j * ldb + l : (size_t)l * ldb + j];                                     \
        T* to = c + (size_t)i * ldc + j;                                                                               \
        *to = (T)(alpha * sum + (beta == 0 ? 0 : (double)beta * *to));                                                 \
      }                                                                                                                \
  }

GEMM(cblas_sgemm, float)
#ifndef NO_DGEMM
GEMM(cblas_dgemm, double)
#endif
