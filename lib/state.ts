// What an optimizer keeps for the variables it was built with: slots in Keras's order and with Keras's names, and the
// program of a step. Over 200 lines: one class, whose constructor and passes belong together.
import { bufferOf, checkMemory, sizeOf, spanOf, type AnyArray, type FloatArray } from './arrays.ts';
import { BlockSums } from './block_sums.ts';
import { notImplemented } from './configurable.ts';
import { isSpace, nameOf } from './devices.ts';
import type { Part, Shards } from './distribution.ts';
import { rangeError, stateError, typeError } from './errors.ts';
import { giveToOwners } from './foreign.ts';
import type { Gathered } from './gradients.ts';
import { addon, dtypes, ruleNamed, type Dtype, type Half, type Memory } from './native.ts';
import type { CommonValues } from './optimizers/common.ts';
import { Pass, Program, type Bound } from './pass.ts';
import { Roster } from './roster.ts';
import { SparseGradients, type Rows } from './rows.ts';
import { roundingOf } from './step.ts';
import { copyStorage, nativeStorage, partStorage, placeholder, places, sizes } from './storage.ts';
import { placesOf, Ranges, type Places, type Trainable } from './trainables.ts';
import { Variable, variableOver } from './variable.ts';

export type { Trainable };

/** What slots hold at first, by name: a number, or the values of the variable; 0 where nothing is said. */
export type Initial = Readonly<Record<string, number | 'variable'>>;

/** What a slot is for a variable. */
export interface Slot {
  readonly shape: readonly number[];
  /** Default: the path of the variable and the name of the slot. */
  readonly name?: string;
  /** A place that is kept for a number of this dtype, which nothing reads. */
  readonly dtype?: 'int32';
}

export interface Layout {
  /** Class of the optimizer, for errors. */
  readonly who: string;
  /** Name of the optimizer, the first part of every path. */
  readonly name: string;
  /** The native rule of a variable; undefined for a class that steps in TypeScript alone. */
  ruleOf(variable: Variable): string | undefined;
  /** Undefined where a variable does not have a slot. */
  slotOf(slot: string, variable: Variable): Slot | undefined;
  /** Whether the class steps in TypeScript, perhaps by the rules. */
  readonly custom: boolean;
  /** Of plain arrays, which have none of their own. */
  readonly names: readonly string[] | undefined;
  /** Slot names by block: within a block the slots of one variable stand together. */
  readonly blocks: readonly (readonly string[])[];
  readonly initial: Initial;
  readonly averages: boolean;
  readonly accumulators: boolean;
  /** Of the slots of float32 variables. */
  readonly state_dtype: 'float32' | 'bfloat16';
  /** How Uint16Arrays among the gradients are read; null: not at all. */
  readonly gradient_dtype: Half | null;
}

/** Of an array as gradient: native code looks at its memory at every step, so that the rest needs no second look. */
export interface Fit {
  /** Of the variable. */
  readonly index: number;
  /** It comes again and again, and has been moved to huge pages. */
  lasting: boolean;
}

/** The passes of a step by what they do, for each dtype that occurs. */
export interface Stages {
  readonly accumulate: readonly Pass[];
  readonly update: readonly Pass[];
  readonly zero: readonly Pass[];
  readonly average: readonly Pass[];
  readonly overwrite: readonly Pass[];
}

/** A program and its passes by what they do; of a class that steps in TypeScript also the program of what follows its update. */
export interface Steps {
  readonly program: Program;
  readonly stages: Stages;
  readonly after?: Program;
}

export class State extends Roster {
  /** What is stepped here: the variables; or parts of them, where other processes step the rest. */
  readonly targets: readonly Variable[];
  /** Of parts: those of all processes, by process and variable. */
  readonly parts: readonly (readonly Part[])[] | undefined;
  /** Of parts: what clipping by norm needs of all processes. */
  readonly sums: BlockSums | undefined;
  readonly averages: readonly Variable[] | undefined;
  readonly accumulators: readonly Variable[] | undefined;
  /** All slots, block by block, in the order of `optimizer.variables`. */
  readonly slots: readonly Variable[];
  /** The dtypes of its variables, and that of the optimizer's own numbers. */
  readonly dtypes: readonly Dtype[];
  readonly #layout: Layout;
  readonly #rules: readonly (string | undefined)[]; // of each variable
  readonly #slots: ReadonlyMap<string, readonly (Variable | undefined)[]>;
  readonly #directions: readonly (Variable | undefined)[]; // of the variables with a directed rule
  readonly #written: Places; // on the host,
  readonly #writtenThere: Ranges; // or on a GPU
  #disposals = -1; // when all variables and gradients were last found to be there
  /** The gradients as a class that steps in TypeScript gets them; they are no state. */
  readonly #prepared: readonly Variable[];
  readonly sparse = new SparseGradients(this.site);
  /** Arrays that were found to fit as gradients. */
  fitting = new WeakMap<AnyArray, Fit>();
  /** States that are written in the same step. */
  #others: readonly State[] = [];

  constructor(trainables: unknown, layout: Layout, shards?: Shards) {
    super(trainables, layout.who, layout.names);
    this.#layout = layout;
    this.#rules = this.variables.map((variable) => layout.ruleOf(variable));
    checkStateDtype(layout, this.variables, this.#rules);
    checkDevice(layout, this);
    this.parts = shards && partsOf(layout, this, this.#rules, shards);
    this.targets = targetsOf(this, shards && this.parts?.[shards.rank]);
    this.sums = shards && new BlockSums(this.variables.map((v) => Variable.storageOf(v).length));
    const made: Variable[] = [];
    const make = (v: Variable, name: string, place: number, kind: Slot, dtype = v.dtype as Dtype | 'bfloat16') =>
      slotOf(layout, v, name, dtype, place, made, kind);
    const own = (name: string, place: number) => this.targets.map((v, i) => make(v, name, place, this.#slotLike(i)));
    const all = layout.blocks.flat();
    const block = (names: readonly string[]) =>
      this.variables.map((v, i) =>
        names.map((name) => {
          const kind = layout.slotOf(name, v);
          if (kind === undefined) return undefined;
          if (kind.dtype !== undefined)
            return variableOver(placeholder(kind.dtype), { shape: [], name: `${layout.name}/${kind.name}` });
          const dtype = v.dtype === 'float32' ? layout.state_dtype : (v.dtype as Dtype);
          const target = this.targets[i] as Variable;
          const slot = make(target, name, places.slot(all.indexOf(name)), kind, dtype);
          fill(slot, layout.initial[name] ?? 0, target);
          return slot;
        }),
      );
    try {
      this.averages = layout.averages ? own('average', places.average) : undefined;
      this.accumulators = layout.accumulators ? own('gradient_accumulator', places.accumulator) : undefined;
      const blocks = layout.blocks.map((names) => ({ names, rows: block(names) }));
      this.slots = blocks.flatMap(({ rows }) => rows.flat()).filter((slot) => slot !== undefined);
      this.#directions = this.variables.map((_, i) => {
        const rule = this.#rules[i];
        if (rule === undefined || !ruleNamed(rule).info.directed) return undefined;
        return make(this.targets[i] as Variable, 'direction', places.direction, this.#slotLike(i));
      });
      this.#prepared = layout.custom ? own('prepared', places.gradient) : [];
      this.#slots = new Map<string, readonly (Variable | undefined)[]>([
        ...blocks.flatMap(({ names, rows }) => names.map((name, i) => [name, rows.map((row) => row[i])] as const)),
        ['prepared', this.#prepared],
      ]);
      this.dtypes = dtypes.filter((dtype) => dtype === this.dtype || this.variables.some((v) => v.dtype === dtype));
      const written = [...this.variables, ...made];
      this.#written = placesOf(this.site === undefined ? written.map(writtenPart) : []);
      this.#writtenThere = new Ranges(typeof this.site === 'number' ? written.map(writtenMemory) : []);
    } catch (error) {
      for (const variable of made) variable.dispose(); // out of memory leaves nothing half-built
      throw error;
    }
  }

  /** A slot of the shape of a variable. */
  #slotLike(i: number): Slot {
    return { shape: (this.variables[i] as Variable).shape };
  }

  /** Everything it has allocated. */
  get owned(): readonly Variable[] {
    return [...(this.averages ?? []), ...(this.accumulators ?? []), ...this.slots];
  }

  /** Throws unless the memory of every variable is still there, and no asynchronous step uses it: after code of the caller's. */
  checkThere(): void {
    for (const variable of this.variables) Variable.checkAttached(variable);
    this.checkIdle();
  }

  /** Gives all memory back. */
  dispose(): void {
    for (const variable of [...this.owned, ...this.#prepared, ...this.#directions]) variable?.dispose();
    this.targets.forEach((target, i) => {
      if (target !== this.variables[i]) Variable.storageOf(target).memory?.release();
    });
    this.sums?.release();
    this.sparse.release();
  }

  /** The gradient of a variable as update_step gets it. */
  preparedOf(index: number): FloatArray {
    const prepared = this.#prepared[index] as Variable; // there is one for each variable where there is an update_step
    Variable.checkAttached(prepared);
    return prepared.value;
  }

  /** Keeps others away from the variables while an asynchronous step runs. */
  async whileUsed<R>(step: Promise<R>): Promise<R> {
    const used = [...this.variables, ...this.owned, ...this.#prepared];
    for (const variable of used) Variable.use(variable, 1);
    try {
      return await step;
    } finally {
      for (const variable of used) Variable.use(variable, -1);
    }
  }

  /** Refuses a gradient that lies in memory which a step writes. */
  checkGradientApart(gradient: AnyArray, i: number): void {
    const places = [this, ...this.#others].flatMap((state) => state.#written.get(bufferOf(gradient)) ?? []);
    if (places.length === 0) return;
    const { begin, end } = spanOf(gradient);
    if (places.some((place) => begin < place.end && place.begin < end)) throw overlaps(i);
  }

  /** The same for a gradient on the GPU of the variables. */
  checkMemoryApart({ address }: Memory, bytes: number, i: number): void {
    if ([this, ...this.#others].some((state) => state.#writtenThere.overlap(address, bytes))) throw overlaps(i);
  }

  /** What a step has been given is not needed any more; on a GPU it may still run. */
  giveBack({ rows, borrowed }: Gathered): void {
    this.sparse.give(rows);
    giveToOwners(this.site, borrowed);
  }

  /** Says which other states are written in the same step: no gradient may lie in them either. */
  stepWith(others: readonly State[]): void {
    this.#others = others;
    this.fitting = new WeakMap();
  }

  /** How Uint16Arrays among the gradients are read; null: not at all. */
  get gradient_dtype(): Half | null {
    return this.#layout.gradient_dtype;
  }

  /** Throws unless the memory of every variable, and that of its own gradient, is still there. */
  checkOwnGradients(): void {
    if (this.site !== undefined && this.#disposals === Variable.disposals) return; // nothing else can happen there
    for (const variable of this.variables) {
      if (Variable.isWhole(variable)) continue;
      Variable.checkAttached(variable);
      if (this.site === undefined) checkMemory(`the gradient of "${variable.path}"`, variable.gradient, false);
      else Variable.gradientOf(variable);
    }
    this.#disposals = Variable.disposals;
  }

  /**
   * The program of a step; `decays` says which variables the weight decay reaches, `own` whether their own gradients are read,
   * `rows` which ones come with a sparse gradient: as it is, if nothing happens to the other rows.
   */
  program(decays: (variable: Variable, rule: string) => boolean, own: boolean, rows: readonly Rows[] = []): Steps {
    const { accumulators, averages } = this;
    const { custom } = this.#layout;
    const columnsOf = (v: Variable, i: number) => {
      const rule = this.#rules[i];
      if (
        custom ||
        accumulators ||
        this.site !== undefined ||
        rule === undefined ||
        !ruleNamed(rule).info.sparse ||
        decays(v, rule)
      )
        return undefined;
      return rows.find(({ index }) => index === i)?.columns;
    };
    const { targets } = this;
    const updated: Flow = (v, i) => ({
      to: targets[i],
      from: accumulators?.[i] ?? i,
      needs: i,
      columns: columnsOf(v, i),
    });
    const stages = {
      accumulate: this.#passes('accumulate', accumulators && ((_, i) => ({ to: accumulators[i], from: i, needs: i }))),
      update: this.#updates(updated, decays),
      zero: this.#passes('zero', accumulators && ((_, i) => ({ to: accumulators[i], from: accumulators[i] }))),
      average: this.#passes('average', averages && ((_, i) => ({ to: averages[i], from: targets[i] }))),
      overwrite: this.#passes('copy', averages && ((_, i) => ({ to: targets[i], from: averages[i] }))),
    };
    const { accumulate, update, zero, average, overwrite } = stages;
    const last = [...zero, ...average, ...overwrite];
    if (!custom) return { program: this.#programOf([...accumulate, ...update, ...last], own), stages };
    const program = this.#programOf([...accumulate, ...update], own);
    return { program, stages, after: this.#programOf(last, true) };
  }

  /** The update of one variable by the rule, and nothing else. */
  programOfOne(index: number, settings: CommonValues): Steps {
    const rule = this.#rules[index];
    if (rule === undefined) throw notImplemented(this.#layout.who, 'update_step');
    const update = this.#passes(rule, (v, i) => (i === index ? { to: v, from: i } : undefined));
    const program = this.#programOf(update, false);
    for (const pass of update) pass.configure(roundingOf(settings));
    return { program, stages: { accumulate: [], update, zero: [], average: [], overwrite: [] } };
  }

  #programOf(passes: readonly Pass[], own: boolean): Program {
    return new Program(passes, this.variables, own, this.gradient_dtype ?? 'float16', this.sums?.first);
  }

  /** The passes of every rule that variables have; where the class steps in TypeScript, they prepare the gradients. */
  #updates(flow: Flow, decays: (variable: Variable, rule: string) => boolean): Pass[] {
    return [...new Set(this.#rules)].flatMap((of = 'prepare') => {
      const own: Flow = (v, i) => ((this.#rules[i] ?? 'prepare') === of ? flow(v, i) : undefined);
      return this.#passes(this.#layout.custom ? 'prepare' : of, own, (v) => decays(v, of), of);
    });
  }

  /** Whether other processes step all of a variable. */
  #isElsewhere(index: number): boolean {
    const target = this.targets[index] as Variable;
    return target !== this.variables[index] && Variable.storageOf(target).length === 0;
  }

  /** A pass for each dtype, another one for sparse gradients; none without `flow`. `of`: the rule that the variables have. */
  #passes(rule: string, flow: Flow | undefined, decays = (_: Variable): boolean => false, of = rule): Pass[] {
    if (flow === undefined) return [];
    const names = ruleNamed(rule).info.slots;
    const extra = [...this.#slots.keys()].filter((name) => name !== 'prepared' && !names.includes(name));
    const bounds = this.variables.flatMap((v, index): Bound[] => {
      const way = flow(v, index);
      if (way === undefined || this.#isElsewhere(index)) return [];
      const { to, from, needs = null, columns } = way;
      const slotsOf = (list: readonly string[]) => list.map((name) => this.#slots.get(name)?.[index]);
      const [variable, gradient] = [to as Variable, from as number | Variable];
      const bound = {
        index,
        variable,
        gradient,
        slots: slotsOf(names) as Variable[],
        decay: decays(v),
        needs,
        columns,
      };
      const direction = ruleNamed(rule).info.directed ? this.#directions[index] : undefined;
      return [
        direction === undefined
          ? bound
          : { ...bound, direction, extra: slotsOf(extra).filter((slot) => slot !== undefined) },
      ];
    });
    const alike = dtypes.flatMap((dtype) =>
      [false, true].map((sparse) =>
        bounds.filter(({ variable, columns }) => variable.dtype === dtype && (columns !== undefined) === sparse),
      ),
    );
    return alike.flatMap((list) => (list[0] ? [new Pass(rule, list[0].variable.dtype as Dtype, list, of)] : []));
  }
}

/**
 * For each variable what is written and what is read, or undefined; the gradient without which that is left out; and the elements
 * of a row, where only some have a gradient.
 */
type Flow = (
  v: Variable,
  i: number,
) => { to: unknown; from: unknown; needs?: number; columns?: number | undefined } | undefined;

/** A slot lies at its own place of a page, and as far from the beginning of a cache line as the variable does. */
function slotOf(
  layout: Layout,
  variable: Variable,
  name: string,
  dtype: Dtype | 'bfloat16',
  offset: number,
  made: Variable[],
  kind: Slot,
): Variable {
  const { array, site, part, length: stepped } = Variable.storageOf(variable);
  const { name: own = `${variable.path.replaceAll('/', '_')}_${name}` } = kind;
  const shape = part === undefined ? kind.shape : [stepped];
  const length = sizeOf(shape) as number; // that of a variable, or smaller
  const beyond = array === undefined || dtype === 'bfloat16' ? 0 : addon.beyondLine(array);
  const whole = nativeStorage(dtype, length, offset + beyond, site, shape);
  const storage = part === undefined ? whole : { ...whole, part: { ...part, of: kind.shape } };
  const slot = variableOver(storage, { shape, name: `${layout.name}/${own}` });
  made.push(slot);
  return slot;
}

/** How the variables are dealt out. */
function partsOf(
  { who, custom }: Layout,
  { variables, asyncSafe, site }: Roster,
  rules: readonly (string | undefined)[],
  shards: Shards,
): readonly (readonly Part[])[] {
  if (custom || !asyncSafe || site !== undefined)
    throw stateError(
      'ERR_OPT_DISTRIBUTED',
      `${who} expects shard_state only ${custom ? 'of a class with a native rule, this one steps in TypeScript' : 'for variables on the cpu that own their memory'}`,
    );
  const lengths = variables.map((v) => Variable.storageOf(v).length);
  const whole = rules.map((rule) => rule !== undefined && ruleNamed(rule).info.directed);
  return shards.partsOf(lengths, whole);
}

/** What is stepped here; a variable of which all is stepped stands for itself. */
function targetsOf({ variables }: Roster, parts: readonly Part[] | undefined): readonly Variable[] {
  return variables.map((v, i) => {
    const { first, length } = parts?.[i] ?? { first: 0, length: Variable.storageOf(v).length };
    if (length === Variable.storageOf(v).length) return v;
    const storage = partStorage(Variable.storageOf(v), first, length, v.shape);
    return variableOver(storage, { shape: [length], name: v.path });
  });
}

function fill(slot: Variable, initial: number | 'variable', variable: Variable): void {
  if (initial === 0) return;
  const storage = Variable.storageOf(slot);
  if (initial === 'variable') copyStorage(Variable.storageOf(variable), storage);
  else storage.write(new Float64Array(storage.length).fill(initial));
}

function checkStateDtype(
  { who, state_dtype }: Layout,
  variables: readonly Variable[],
  rules: readonly (string | undefined)[],
): void {
  if (state_dtype === 'bfloat16' && rules.includes(undefined))
    throw rangeError(
      'ERR_OPT_CONFIG_RANGE',
      `${who} steps in TypeScript and expects state_dtype float32, got bfloat16`,
    );
  const other = variables.find(({ dtype }) => dtype !== 'float32');
  if (state_dtype === 'bfloat16' && other !== undefined)
    throw typeError(
      'ERR_OPT_ARRAY_TYPE',
      `${who} expects float32 variables with state_dtype bfloat16, "${other.path}" is ${other.dtype}`,
    );
}

function checkDevice({ who, custom }: Layout, { site, variables: [first] }: Roster): void {
  if (site === undefined || !custom) return;
  const advice = isSpace(site) ? "train on TensorFlow.js's backend cpu or wasm" : 'make them without device';
  throw typeError(
    'ERR_OPT_DEVICE',
    `${who} steps in TypeScript and expects variables on the cpu, "${first?.path}" is on ${nameOf(site)}: ${advice}, or step with a class that has a native rule`,
  );
}

const overlaps = (i: number): RangeError =>
  rangeError('ERR_OPT_ALIAS', `gradients[${i}] overlaps a variable or its state in memory, which a step writes`);

function writtenMemory(variable: Variable): [Memory, number] {
  const { memory, dtype, length } = Variable.storageOf(variable);
  return [memory as Memory, length * sizes[dtype as keyof typeof sizes]]; // what lies on a GPU has memory
}

/** All of what a step writes of a variable. */
function writtenPart(variable: Variable): AnyArray | Uint8Array {
  const storage = Variable.storageOf(variable);
  return storage.memory === undefined ? (storage.value() as FloatArray) : new Uint8Array(storage.memory.buffer());
}
