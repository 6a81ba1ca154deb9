# The CPU build through node-gyp: the same sources and flags as CMakeLists.txt, one static library per instruction set.
# `npx node-gyp rebuild` writes build/, where cmake-js writes build-cmake/.
{
  'variables': {
    'kernel_flags': ['-O3', '-std=c++17', '-fPIC', '-fvisibility=hidden', '-ffp-contract=off', '-fno-math-errno', '-fno-trapping-math',
                     '-fno-tree-loop-distribute-patterns'],
  },
  'target_defaults': {
    'cflags_cc!': ['-fno-exceptions', '-fno-rtti', '-std=gnu++17', '-std=gnu++20'],
  },
  'targets': [
    {'target_name': 'baseline', 'type': 'static_library', 'sources': ['native/cpu/baseline.cpp'], 'cflags_cc': ['<@(kernel_flags)']},
    {
      'target_name': 'avx2', 'type': 'static_library', 'sources': ['native/cpu/avx2.cpp'], 'cflags_cc': ['<@(kernel_flags)'],
      'conditions': [['target_arch=="x64"', {'cflags_cc': ['-mavx2', '-mfma']}]],
    },
    {
      'target_name': 'avx512', 'type': 'static_library', 'sources': ['native/cpu/avx512.cpp'], 'cflags_cc': ['<@(kernel_flags)'],
      'conditions': [['target_arch=="x64"', {
        'cflags_cc': ['-mfma', '-mavx512f', '-mavx512vl', '-mavx512bw', '-mavx512dq', '-mprefer-vector-width=512'],
      }]],
    },
    {
      'target_name': 'keras_optimizers',
      'dependencies': ['baseline', 'avx2', 'avx512'],
      'sources': [
        'cuda/absent.cpp',
        'native/backends.cpp', 'native/driver.cpp', 'native/host_plan.cpp', 'native/memory.cpp', 'native/rows.cpp', 'native/threads.cpp',
        'native/trace.cpp',
        'native/matrix/adafactor.cpp', 'native/matrix/blas.cpp', 'native/matrix/lamb.cpp', 'native/matrix/muon.cpp',
        'native/matrix/newton_schulz.cpp', 'native/matrix/product.cpp',
        'native/distributed/library.cpp', 'native/distributed/line.cpp', 'native/distributed/mpi.cpp', 'native/distributed/mpi_calls.cpp',
        'native/distributed/nccl.cpp',
        'native/binding/addon.cpp', 'native/binding/connection.cpp', 'native/binding/cuda.cpp', 'native/binding/distributed.cpp',
        'native/binding/environment.cpp', 'native/binding/memory.cpp', 'native/binding/plan.cpp', 'native/binding/rows.cpp',
        'native/binding/no_faults.cpp',
      ],
      'include_dirs': ['<!(node -p "require(\'node-addon-api\').include_dir")'],
      'defines': ['NAPI_VERSION=8', 'NODE_ADDON_API_CPP_EXCEPTIONS_ALL', 'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS'],
      'cflags_cc': ['-std=c++17', '-fvisibility=hidden', '-ffp-contract=off'],
      'conditions': [['OS=="linux"', {'ldflags': ['-Wl,-z,nodelete'], 'libraries': ['-ldl']}]],
    },
  ],
}
