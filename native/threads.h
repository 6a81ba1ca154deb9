// A persistent pool of threads, one for the process, shared by all its environments. The thread that has work takes part in
// it and never waits for a helper that has not started; who does which piece changes no bit.
#pragma once
#include <cstddef>
#include <cstdint>

int threadCount();  // threads that one step may use, the calling one included; 0 until it is set
void setThreadCount(int count);

// Calls body(context, i) once for each i < count, from several threads at once; returns when all calls have returned.
// body must not throw.
void parallelFor(size_t count, void (*body)(const void* context, size_t i), const void* context);
