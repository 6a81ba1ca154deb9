// A plan on a device. A step is one launch for every rule, after one copy of what has changed where that is too much to travel with
// the launch (work.h); clipping by norm adds two, a rule that assigns directions two for each, and what goes through matrices a few
// for each of those. Nothing of it waits.
#pragma once
#include "../native/plan.h"

namespace cuda {

// The device that the memories of the passes lie on; -1 for the host. Throws Error if they are not all in one place.
int deviceOf(const std::vector<Pass>& passes);
std::shared_ptr<Plan> newPlan(int device, std::vector<Pass> passes, size_t variables, SharedMemory control);

}  // namespace cuda
