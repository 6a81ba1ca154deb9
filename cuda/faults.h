// Calls that fail on purpose, in a test build: setFault("cudaMalloc", 3, 2) makes the third call from now on return 2.
#pragma once

namespace cuda {
int faultOf(const char* name);  // 0 for none; of a library that is not for tests always
}
