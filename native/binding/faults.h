// What the tests of the wall ask for; only a build with -DFAULTS=ON has it.
#pragma once
#include <napi.h>

void defineFaults(Napi::Object exports);
