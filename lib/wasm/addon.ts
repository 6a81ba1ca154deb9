// The addon over the kernels as WebAssembly: everything that lib/native.ts asks of a native one, in memory of JavaScript's.
import { rangeError, stateError } from '../errors.ts';
import type { Addon, Trace } from '../native.ts';
import { environment } from '../platform.ts';
import { cuda, distributed } from './absent.ts';
import { compiled, type WasmModule } from './kernels.ts';
import { HostMemory, liveBytes } from './memory.ts';
import { WasmPlan, type Workshop } from './plan.ts';
import { mergeRows, putRows } from './rows.ts';
import { kBlock, Scratch } from './scratch.ts';

const kRoom = 65536; // bytes

/** @throws RangeError as JavaScript has it, if there is no memory for it */
export function wasmAddon(module: WasmModule): Addon {
  const { rules, traces, traceOfDecay, controls, controlSize } = module.tables;
  const kernels = compiled(module);
  const workshop: Workshop = { rules, controls, controlSize, compiled: kernels, scratch: new Scratch(kernels, kRoom) };
  return {
    ...{
      cuda,
      distributed,
      rules,
      controls,
      controlSize,
      block: kBlock,
      mergeRows,
      putRows,
      liveBytes,
      Memory: HostMemory,
    },
    backends: [{ name: 'wasm', unusable: null }],
    trace: (rule) => traceIn(traces, rule),
    traceOfDecay: () => traceOfDecay,
    floatingPointControl: () => 0,
    beyondLine: () => 0,
    useHugePages: () => {},
    threadCount: () => 1,
    setThreadCount: () => {},
    newPlan: (backend, passes, variables, control) => {
      if (backend !== 0) throw stateError('ERR_OPT_BACKEND', 'this backend cannot run here');
      if (environment.KERAS_OPTIMIZERS_BLAS && passes.some(({ rule }) => rules[rule]?.whole === 'orthogonal'))
        throw stateError(
          'ERR_OPT_BLAS',
          'KERAS_OPTIMIZERS_BLAS expects the native addon: WebAssembly loads no library',
        );
      return new WasmPlan(workshop, passes, variables, control);
    },
  };
}

function traceIn(traces: readonly Trace[], rule: number): Trace {
  const trace = traces[rule];
  if (trace === undefined) throw rangeError('ERR_OPT_CONFIG_RANGE', 'no rule has this id');
  return trace;
}
