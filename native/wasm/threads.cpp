// WebAssembly has one thread here: all work is done at once.
#include "../threads.h"

int threadCount() { return 1; }
void setThreadCount(int) {}
void parallelFor(size_t count, void (*body)(const void* context, size_t i), const void* context) {
  for (size_t i = 0; i < count; ++i) body(context, i);
}
