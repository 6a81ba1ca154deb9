// Preloaded by memory.test.ts: the OOM_AT-th aligned allocation of a megabyte and more fails, counted from when it is set.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>

void* aligned_alloc(size_t alignment, size_t size) {
  static void* (*real)(size_t, size_t);
  static int count, armed;
  if (real == NULL) real = dlsym(RTLD_NEXT, "aligned_alloc");
  const char* at = getenv("OOM_AT");
  const int wanted = at == NULL ? 0 : atoi(at);
  if (wanted != armed) {
    armed = wanted;
    count = 0;
  }
  if (size >= 1u << 20 && ++count == wanted) return NULL;
  return real(alignment, size);
}
