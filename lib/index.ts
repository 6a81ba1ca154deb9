// Every public name, one list.
import { registerBuiltins } from './serialization.ts';
import { Adadelta } from './optimizers/adadelta.ts';
import { Adafactor } from './optimizers/adafactor.ts';
import { Adagrad } from './optimizers/adagrad.ts';
import { Adam } from './optimizers/adam.ts';
import { Adamax } from './optimizers/adamax.ts';
import { AdamW } from './optimizers/adamw.ts';
import { Ftrl } from './optimizers/ftrl.ts';
import { Lamb } from './optimizers/lamb.ts';
import { Lion } from './optimizers/lion.ts';
import { LossScaleOptimizer } from './optimizers/loss_scale_optimizer.ts';
import { MultiOptimizer } from './optimizers/multi_optimizer.ts';
import { Muon } from './optimizers/muon.ts';
import { Nadam } from './optimizers/nadam.ts';
import { OptimizerMap } from './optimizers/optimizer_map.ts';
import { RMSprop } from './optimizers/rmsprop.ts';
import { ScheduleFreeAdamW } from './optimizers/schedule_free_adamw.ts';
import { SGD } from './optimizers/sgd.ts';
import { CosineDecay } from './schedules/cosine_decay.ts';
import { CosineDecayRestarts } from './schedules/cosine_decay_restarts.ts';
import {
  CyclicalLearningRate,
  ExponentialCyclicalLearningRate,
  Triangular2CyclicalLearningRate,
  TriangularCyclicalLearningRate,
} from './schedules/cyclical_learning_rate.ts';
import { ExponentialDecay } from './schedules/exponential_decay.ts';
import { InverseTimeDecay } from './schedules/inverse_time_decay.ts';
import { OneCycle } from './schedules/one_cycle.ts';
import { PiecewiseConstantDecay } from './schedules/piecewise_constant_decay.ts';
import { PolynomialDecay } from './schedules/polynomial_decay.ts';
import { PowerDecay } from './schedules/power_decay.ts';
import { Sequential } from './schedules/sequential.ts';
import { WarmUp } from './schedules/warm_up.ts';

registerBuiltins('keras.optimizers', [
  SGD,
  RMSprop,
  Adagrad,
  Adadelta,
  Adam,
  AdamW,
  Adamax,
  Muon,
  Nadam,
  Ftrl,
  Lion,
  Lamb,
  Adafactor,
  ScheduleFreeAdamW,
  LossScaleOptimizer,
  MultiOptimizer,
  OptimizerMap,
]);
registerBuiltins('keras.optimizers.schedules', [
  ExponentialDecay,
  PiecewiseConstantDecay,
  PolynomialDecay,
  InverseTimeDecay,
  CosineDecay,
  CosineDecayRestarts,
]);
registerBuiltins(
  'tensorflow_addons.optimizers',
  [
    CyclicalLearningRate,
    TriangularCyclicalLearningRate,
    Triangular2CyclicalLearningRate,
    ExponentialCyclicalLearningRate,
  ],
  'Addons',
);
registerBuiltins('keras_optimizers', [PowerDecay, OneCycle, WarmUp, Sequential], 'keras_optimizers');

export {
  Adadelta,
  Adafactor,
  Adagrad,
  Adam,
  Adamax,
  AdamW,
  Ftrl,
  Lamb,
  Lion,
  Muon,
  Nadam,
  RMSprop,
  ScheduleFreeAdamW,
  SGD,
};
export { LossScaleOptimizer, MultiOptimizer, OptimizerMap };
export {
  CosineDecay,
  CosineDecayRestarts,
  CyclicalLearningRate,
  ExponentialCyclicalLearningRate,
  ExponentialDecay,
  InverseTimeDecay,
  OneCycle,
  PiecewiseConstantDecay,
  PolynomialDecay,
  PowerDecay,
  Sequential,
  Triangular2CyclicalLearningRate,
  TriangularCyclicalLearningRate,
  WarmUp,
};
export { fields } from './fields.ts';
export { Optimizer } from './optimizer.ts';
export { LearningRateSchedule } from './schedules/schedule.ts';
export { allocate } from './arrays.ts';
export { IndexedSlices } from './indexed_slices.ts';
export { cudaStream, devices, info, memory, useCudaStream } from './devices.ts';
export { getNumThreads, setNumThreads } from './native.ts';
export { Variable } from './typed_variable.ts';
export { stringify } from './json.ts';
export { CheckpointError } from './checkpoint/errors.ts';
export { deserialize, get, register_keras_serializable, serialize } from './serialization.ts';

export type { CheckpointErrorCode } from './checkpoint/errors.ts';
export type { LoadDistributeOptions, LoadOptions } from './checkpoint/load.ts';
export type { FilePath, SaveOptions } from './checkpoint/save.ts';
export type { OwnVariables } from './checkpoint/store.ts';
export type { CudaDevice, Device, DeviceName, Devices, Gpu, Info, Unusable } from './devices.ts';
export type { AddonKind, PassedOver } from './load.ts';
export type { ErrorCode } from './errors.ts';
export type { Float16ArrayLike, Gradient } from './gradients.ts';
export type { RowIndices } from './indexed_slices.ts';
export type {
  AliasesOf,
  Arguments,
  Callable,
  Config,
  Configurable,
  ConfigurableClass,
  Field,
  Fields,
  Numeric,
  Options,
  RequiredKeys,
  Values,
} from './configurable.ts';
export type { Initializer, ListSettings, ReferenceSettings, VariableSettings } from './own_variables.ts';
export type { GradientAndVariable, Named, Tape } from './pairs.ts';
export type { CustomObjects, Serialized } from './serialization.ts';
export type { LossScaleOptions } from './optimizers/loss_scale_optimizer.ts';
export type { MultiOptions, OptimizerSelector } from './optimizers/multi_optimizer.ts';
export type { OptimizerMapOptions, OptimizersByPath } from './optimizers/optimizer_map.ts';
export type { NadamClass, Rated } from './optimizers/nadam.ts';
export type { LearningRate } from './optimizers/common.ts';
export type { ScaleFunction } from './schedules/cyclical_learning_rate.ts';
export type { Trainable } from './state.ts';
export type { Dtype } from './native.ts';
export type { ForZeros, OnGpu, OnHost, VariableConstructor } from './typed_variable.ts';
export type { Exclusion, Weight, WeightArray } from './weights.ts';
export type {
  Assigned,
  Constraint,
  CudaArray,
  DeviceArray,
  FloatArray,
  Numbers,
  Variable as VariableClass, // the class's own name, for declarations that compilers write
  VariableDtype,
  VariableOptions,
} from './variable.ts';
