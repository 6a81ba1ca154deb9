// What MPI takes for the calls of the transport in C, for the communicator's sum made of them, and for its own collectives of the same
// bytes: the yardstick of bench/distributed/transport.mjs and rank.mjs. Prints a line for each collective and size: name, bytes, median
// and minimum in microseconds.
// Build and run: mpicc -O3 collectives.c -o collectives && mpirun -n 2 ./collectives [NAME,NAME... BYTES...]
#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kHandshake = 64, kLargest = 16 << 20, kMaxRanks = 64, kMaxRuns = 2000 };

static int rank, size;
static char *from, *to;

static int after(int steps) { return (rank + steps + size) % size; }

// Polls as the transport does, giving the processor away: with more ranks than cores nothing else gets on.
static void wait_all(int count, MPI_Request* requests) {
  for (int done = 0; !done;) {
    MPI_Testall(count, requests, &done, MPI_STATUSES_IGNORE);
    if (!done) sched_yield();
  }
}

// Every rank with every other one; `parts` says whether each gets its own.
static void pairs(size_t bytes, int parts) {
  MPI_Request requests[2 * kMaxRanks];
  int count = 0;
  for (int i = 1; i < size; ++i)
    MPI_Irecv(to + bytes * after(-i), (int)bytes, MPI_BYTE, after(-i), 0, MPI_COMM_WORLD, &requests[count++]);
  for (int i = 1; i < size; ++i)
    MPI_Isend(from + (parts ? bytes * after(i) : 0), (int)bytes, MPI_BYTE, after(i), 0, MPI_COMM_WORLD, &requests[count++]);
  memcpy(to + bytes * rank, from + (parts ? bytes * rank : 0), bytes);
  wait_all(count, requests);
}

static void exchange(size_t bytes) { (void)bytes, pairs(kHandshake, 0); }
static void all_to_all(size_t bytes) { pairs(bytes / size, 1); }
static void all_gather(size_t bytes) { pairs(bytes / size, 0); }
static void broadcast(size_t bytes) {
  MPI_Request request;
  MPI_Ibcast(to, (int)bytes, MPI_BYTE, 0, MPI_COMM_WORLD, &request);
  wait_all(1, &request);
}
// Sums in a fixed order, pairwise by rank, of `bytes` bytes from every rank, side by side; the sum ends up in the place of the first.
static void fold(size_t bytes) {
  const size_t count = bytes / sizeof(float);
  for (int width = 1; width < size; width *= 2)
    for (int left = 0; left + width < size; left += 2 * width) {
      float* sum = (float*)to + left * count;
      const float* summand = (float*)to + (left + width) * count;
      for (size_t i = 0; i < count; ++i) sum[i] += summand[i];
    }
}
enum { kSmall = 8 << 10 }; // as kPayload in lib/distributed/transport.ts: goes with the handshake
static void all_reduce(size_t bytes) {
  const int whole = bytes <= kSmall;
  const size_t part = whole ? bytes : bytes / size;
  if (whole) pairs(kHandshake + part, 0);
  else exchange(bytes), pairs(part, 1);
  fold(part);
  if (whole) {
    memcpy(from, to, bytes);
    return;
  }
  memcpy(from, to, part);
  pairs(part, 0);
}
static void mpi_all_reduce(size_t bytes) {
  MPI_Allreduce(from, to, (int)(bytes / sizeof(float)), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}
static void mpi_all_to_all(size_t bytes) {
  MPI_Alltoall(from, (int)(bytes / size), MPI_BYTE, to, (int)(bytes / size), MPI_BYTE, MPI_COMM_WORLD);
}
static void mpi_all_gather(size_t bytes) {
  MPI_Allgather(from, (int)(bytes / size), MPI_BYTE, to, (int)(bytes / size), MPI_BYTE, MPI_COMM_WORLD);
}
static void mpi_broadcast(size_t bytes) { MPI_Bcast(to, (int)bytes, MPI_BYTE, 0, MPI_COMM_WORLD); }

static const struct {
  const char* name;
  void (*run)(size_t);
} kCollectives[] = {
    {"exchange", exchange},        {"allToAll", all_to_all},           {"allGather", all_gather},
    {"broadcast", broadcast},      {"MPI_Alltoall", mpi_all_to_all},   {"MPI_Allgather", mpi_all_gather},
    {"MPI_Bcast", mpi_broadcast},  {"allReduce", all_reduce},          {"MPI_Allreduce", mpi_all_reduce},
};

enum { kCount = sizeof kCollectives / sizeof *kCollectives };

static int ascending(const void* a, const void* b) {
  const double difference = *(const double*)a - *(const double*)b;
  return (difference > 0) - (difference < 0);
}

static void measure(int which, size_t bytes) {
  static double times[kMaxRuns];
  const int runs = bytes >= 1 << 20 ? 15 : bytes >= 1 << 16 ? 200 : kMaxRuns;
  for (int i = 0; i < runs; ++i) {
    const double began = MPI_Wtime();
    kCollectives[which].run(bytes);
    times[i] = (MPI_Wtime() - began) * 1e6;
  }
  qsort(times, (size_t)runs, sizeof *times, ascending);
  if (rank == 0) printf("%s %zu %.1f %.1f\n", kCollectives[which].name, bytes, times[runs / 2], times[0]);
}

int main(int count, char** arguments) {
  MPI_Init(&count, &arguments);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (size > kMaxRanks) MPI_Abort(MPI_COMM_WORLD, 1);
  from = calloc(1, kLargest);
  to = calloc(1, kLargest);
  memset(from, 0, kLargest); // no sum of it overflows or is denormal
  if (count > 2) {
    for (int i = 2; i < count; ++i)
      for (int which = 0; which < kCount; ++which)
        if (strstr(arguments[1], kCollectives[which].name)) measure(which, strtoul(arguments[i], NULL, 10));
    MPI_Finalize();
    return 0;
  }
  for (size_t bytes = 64; bytes <= kLargest; bytes *= bytes < 65536 ? 32 : 16)
    for (int which = 0; which < kCount; ++which)
      if (which > 0 || bytes == 64) measure(which, bytes);
  MPI_Finalize();
  return 0;
}
