// Checkpoints are files, and a page has none.
import { stateError } from '../errors.ts';

const absent = (what: string) => (): Promise<never> =>
  Promise.reject(
    stateError(
      'ERR_OPT_NOT_IMPLEMENTED',
      `${what} needs the files of Node.js, and there are none in a browser: keep get_config() and the values of optimizer.variables`,
    ),
  );

export const save = absent('save');
export const load = absent('load');
