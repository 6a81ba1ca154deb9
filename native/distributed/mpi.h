// MPI: between processes, host memory only.
#pragma once
#include <string>
#include <vector>

#include "engine.h"

namespace distributed {

// Numbers that tests lower.
struct MpiTuning {
  size_t piece;  // bytes of a message at most; MPI counts with an int
  int ring;      // ranks from which on allGather goes round: every machine's link then carries each part once, not once for each rank
};

// Once a process, which MPI wants: a second call throws Error. Never destroyed, since a message may arrive as long as the process lives.
std::shared_ptr<Engine> newMpi(const std::vector<std::string>& libraries, MpiTuning tuning);

}  // namespace distributed
