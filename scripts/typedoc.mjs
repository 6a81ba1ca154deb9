// For `npm run docs`: entry points are named as users import them, pages by their titles, and names are grouped by where they are
// declared. What every class says of itself to the machinery (`fields`, `className`) is shown at the base classes only.
import { CommentTag, Converter, ReflectionKind } from 'typedoc';

/** The groups in their order, and the files whose names belong there; the first that fits counts. */
const groups = [
  ['Errors', /\/errors\.ts/],
  ['Optimizers', /lib\/optimizers\/(?!common|loss_scale|multi_opt|optimizer_map)|lib\/optimizer\.ts/],
  ['Around others', /lib\/optimizers\/(?!common)/],
  ['Schedules', /lib\/schedules\//],
  ['Checkpoints', /lib\/(checkpoint|keras)\//],
  ['Several processes', /lib\/(distributed\/|distribution\.ts)/],
  ['Callbacks', /lib\/callbacks\//],
  ['TensorFlow.js', /lib\/tfjs\//],
  ['Devices and threads', /lib\/(devices|native)\.ts/],
  ['Options and configs', /lib\/(configurable|fields|serialization|json|own_variables|optimizers\/common)\.ts/],
  ['Variables and gradients', /lib\/\w+\.ts/],
];

/** The group of an exported name, by its file. */
function groupOf(context, reflection) {
  const file = context.getSymbolFromReflection(reflection)?.declarations?.[0]?.getSourceFile().fileName ?? '';
  return groups.find(([, files]) => files.test(file))?.[0];
}

function group(context, reflection) {
  const owner = reflection.signatures?.[0] ?? reflection;
  owner.comment?.blockTags.push(new CommentTag('@category', [{ kind: 'text', text: groupOf(context, reflection) }]));
}

/** The first heading of a page. */
function titleOf(page) {
  const text = page.content.map(({ text }) => text).join('');
  return /^# (.*)$/m.exec(text)?.[1] ?? page.name;
}

export function load(app) {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, (context) => {
    const { project } = context;
    for (const property of project.getReflectionsByKind(ReflectionKind.Property)) {
      const machinery = property.flags.isStatic && ['fields', 'className'].includes(property.name);
      if (machinery && property.parent?.extendedTypes !== undefined) project.removeReflection(property);
    }
    for (const page of project.documents ?? []) page.name = titleOf(page);
    for (const module of project.getChildrenByKind(ReflectionKind.Module)) {
      for (const child of module.children ?? []) group(context, child);
      module.name = module.name === 'index' ? 'keras-optimizers' : `keras-optimizers/${module.name}`;
    }
  });
}
