// The one list of backends, best first.
#pragma once
#include "kernels.h"

struct Backend {
  const char* name;
  const char* (*unusable)();  // why it cannot run here; null if it can
  const Kernels* kernels;
};

extern const Backend kBackends[];
extern const int kBackendCount;
