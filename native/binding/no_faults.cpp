#include "faults.h"

#include "../../cuda/faults.h"

void defineFaults(Napi::Object) {}

int cuda::faultOf(const char*) { return 0; }
