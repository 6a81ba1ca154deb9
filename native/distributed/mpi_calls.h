// The calls to MPI that are made, whatever family the library is of: Open MPI's handles are pointers, MPICH's (Intel MPI, MVAPICH,
// Cray) numbers. No header of either is used; the prototypes and constants are those of their ABIs, which both keep.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "engine.h"

namespace distributed {

class MpiCalls {
 public:
  virtual ~MpiCalls() = default;
  // Starts MPI; afterwards `description` is complete. Throws Error.
  virtual void init() = 0;
  virtual void finalize() = 0;
  virtual void abort(int exitCode) = 0;
  // Begin; `test` says whether all that has begun has ended. At most 2^30 bytes each.
  virtual void send(const char* from, size_t bytes, int rank) = 0;
  virtual void receive(char* to, size_t bytes, int rank) = 0;
  virtual void broadcast(char* bytes, size_t count, int root) = 0;
  // Marks the ranks whose bytes have come; another thread may look.
  virtual bool test(char* arrived) = 0;

  Description description{0, 0, "", ""};
};

// Opens the first of these libraries that there is. Throws Error.
std::unique_ptr<MpiCalls> openMpi(const std::vector<std::string>& libraries);

}  // namespace distributed
