// What the rest knows of CUDA. absent.cpp has the same symbols when CUDA is not built in.
#pragma once

const char* cudaUnusable();  // why no CUDA device can be used; null if one can
