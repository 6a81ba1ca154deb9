// One call to CUDA fails with an error that stays: argv [name, code]. Prints what came of each thing that was tried afterwards.
import { addon } from '../../lib/native.ts';
import { LossScaleOptimizer, Nadam, SGD, Variable } from '../../lib/index.ts';

const [name, code] = process.argv.slice(2);
const found = [];
const attempt = async (what, run) => {
  try {
    await run();
    found.push([what, 'done']);
  } catch (error) {
    found.push([what, error.code, error.message]);
  }
};
const weights = new Variable(new Float32Array(100).fill(1), { device: 'cuda' });
const optimizer = new Nadam({ global_clipnorm: 1 });
optimizer.build([weights]);
weights.gradient.assign(new Float32Array(100).fill(1));
optimizer.apply();
await weights.read();
addon.setFault(name, 1, Number(code));
await attempt('the rest', async () => {
  optimizer.apply([new Float32Array(100)], [weights]);
  await optimizer.apply_async();
  const other = new Variable(new Float32Array(20_000), { device: 'cuda' });
  weights.assign(new Float32Array(100));
  await weights.read();
  optimizer.gradient_norm;
  other.dispose();
  await weights.read(); // by when what has been freed or released is known to be lost
  new LossScaleOptimizer({ inner_optimizer: new SGD() }).apply([new Float32Array(100)], [weights]);
  await weights.read();
  new Nadam().build([new Variable(new Float32Array(9), { device: 'cuda' })]);
});
const hit = found[0][1] !== 'done';
if (hit) {
  await attempt('apply', () => optimizer.apply());
  await attempt('apply_async', () => optimizer.apply_async());
  await attempt('read', () => weights.read());
  await attempt('assign', () => weights.assign(new Float32Array(100)));
  await attempt('Variable', () => new Variable([1], { device: 'cuda' }));
}
const host = new Variable([1, 2]);
new Nadam().apply([[1, 1]], [host]);
await attempt('dispose', () => (optimizer.dispose(), weights.dispose()));
console.log(JSON.stringify({ found, host: [...host.value].map((x) => x < 2) }));
