// A libcuda.so.1 that fails to start as the environment says, for test/cuda/startup.test.ts. It has what NVIDIA's runtime asks a
// driver for until cuInit, and nothing after that.
//   FAKE_DRIVER_VERSION   the CUDA version that the driver supports, 13000 for 13.0
//   FAKE_DEVICES          how many GPUs it has; CUDA_VISIBLE_DEVICES hides them
//   FAKE_CUINIT           what cuInit returns, 0 if it is not set
#include <stdlib.h>
#include <string.h>

typedef int CUresult;
enum { SUCCESS = 0, NO_DEVICE = 100, NOT_FOUND = 500 };

static int number(const char* name, int otherwise) {
  const char* text = getenv(name);
  return text != NULL ? atoi(text) : otherwise;
}

static int visible(void) {
  const char* text = getenv("CUDA_VISIBLE_DEVICES");
  const int devices = number("FAKE_DEVICES", 1);
  if (text == NULL) return devices;
  return text[0] >= '0' && text[0] <= '9' && atoi(text) < devices ? 1 : 0;
}

CUresult cuDriverGetVersion(int* version) {
  *version = number("FAKE_DRIVER_VERSION", 13000);
  return SUCCESS;
}

CUresult cuInit(unsigned flags) {
  (void)flags;
  const CUresult result = number("FAKE_CUINIT", SUCCESS);
  return result == SUCCESS && visible() == 0 ? NO_DEVICE : result;
}

CUresult cuDeviceGetCount(int* count) {
  *count = visible();
  return SUCCESS;
}

CUresult cuGetExportTable(const void** table, const void* id) {
  (void)id;
  *table = NULL;
  return NOT_FOUND;
}

// The runtime looks up some 440 functions before it calls one of these four.
static CUresult missing(void) { return NOT_FOUND; }

CUresult cuGetProcAddress_v2(const char* name, void** function, int version, unsigned long long flags, int* status) {
  (void)version;
  (void)flags;
  static const struct {
    const char* name;
    void* function;
  } here[] = {{"cuInit", (void*)cuInit},
              {"cuDriverGetVersion", (void*)cuDriverGetVersion},
              {"cuDeviceGetCount", (void*)cuDeviceGetCount},
              {"cuGetExportTable", (void*)cuGetExportTable},
              {"cuGetProcAddress", (void*)cuGetProcAddress_v2}};
  if (status != NULL) *status = 0;
  *function = (void*)missing;
  for (size_t i = 0; i < sizeof here / sizeof *here; i++)
    if (strcmp(name, here[i].name) == 0) *function = here[i].function;
  return SUCCESS;
}
