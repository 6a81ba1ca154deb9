#include "faults.h"

void defineFaults(Napi::Object) {}
