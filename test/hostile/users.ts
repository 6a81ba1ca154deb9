// Optimizers of the hostile caller's own: what surrounds their update_step is the library's, what happens in it is the caller's.
import { Adam, fields, Optimizer, SGD, type FloatArray, type Trainable, type Variable } from '../../lib/index.ts';
import type { OptimizerClass } from '../optimizers.ts';
import { UserError, type World } from './world.ts';

const own = { ...fields.common(0.1), momentum: fields.fraction(0.5) };

export function userClasses(world: World): readonly OptimizerClass[] {
  class Own extends Optimizer<typeof own> {
    static override readonly fields = own;
    static readonly className = 'Own';
    #slots: Variable[] = [];
    override build(variables: readonly Trainable[]): void {
      if (this.built) return;
      super.build(variables);
      this.#slots = this.add_optimizer_variables(variables, 'slot');
      world.treacherous(this.#slots);
    }
    override update_step(gradient: FloatArray, variable: Variable, learning_rate: number): void {
      const slot = (this.#slots[this._get_variable_index(variable)] as Variable).value;
      try {
        for (let i = 0; i < gradient.length; i++) {
          slot[i] = (slot[i] as number) / 2 + (gradient[i] as number);
          variable.value[i] = (variable.value[i] as number) - learning_rate * (slot[i] as number);
        }
        for (const array of [gradient, slot]) world.remember(array);
      } catch {
        throw new UserError('called by the caller, with no gradient');
      }
      if (world.chance(0.1)) world.remember(this.add_variable({ shape: [3] }).value);
      return world.treacherous(world.chance(0.05) ? (1 as never) : undefined);
    }
  }

  /** Steps by the native rule, perhaps on another gradient or another variable. */
  class Heir extends Adam {
    static override readonly className = 'Heir';
    override update_step(gradient: FloatArray, variable: Variable, learning_rate: number): void {
      const other = world.chance(0.1) ? world.pick(world.variables) : variable;
      super.update_step(world.treacherous(gradient), other, world.chance(0.5) ? learning_rate : undefined);
      world.treacherous(gradient);
    }
  }

  /** Lets others in between gradients and step. */
  class Aggregating extends SGD {
    override compute_gradients(...pairs: Parameters<SGD['compute_gradients']>) {
      return world.treacherous(super.compute_gradients(...pairs));
    }
    override aggregate_gradients(...pairs: Parameters<SGD['aggregate_gradients']>) {
      return world.treacherous(world.chance(0.1) ? (3 as never) : super.aggregate_gradients(...pairs));
    }
  }
  return [Own, Heir, Aggregating];
}
