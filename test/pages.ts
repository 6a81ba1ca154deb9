// The pages for users (README.md, CONTRIBUTING.md, docs/*.md) taken apart: their blocks of code, links, headings and commands. A
// comment right above a block says what is special about it:
//   <!-- not run: REASON -->  why nothing runs it
//   <!-- continues -->        a program that goes on with the one above
//   <!-- file: NAME -->       a file that the commands of the page have beside them
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
export const read = (path: string): string => readFileSync(`${root}${path}`, 'utf8');

const inDocs = readdirSync(`${root}docs`).filter((name) => name.endsWith('.md'));
export const pages: readonly string[] = ['README.md', 'CONTRIBUTING.md', ...inDocs.map((name) => `docs/${name}`)];

export interface Block {
  /** `docs/gpu.md:11`, for messages. */
  readonly place: string;
  readonly language: string;
  readonly text: string;
  /** What the comment above says: `not run`, and the reason. */
  readonly note: string;
  readonly reason: string;
  /** Whether nothing stands between it and the block above. */
  readonly follows: boolean;
}

const kComment = /(?:^<!-- ([\w ]+?)(?:: (.*?))? -->\n\n?)?/.source;
const kFence = /^ *```(.*)\n([^]*?)^ *```$/.source;

/** The blocks of code of a page, in their order. */
export function blocksOf(page: string): Block[] {
  const text = read(page);
  let end = -1;
  return [...text.matchAll(new RegExp(kComment + kFence, 'gm'))].map((match) => {
    const [, note = '', reason = '', language = '', code = ''] = match;
    const follows = end >= 0 && text.slice(end, match.index).trim() === '';
    end = match.index + match[0].length;
    return {
      place: `${page}:${text.slice(0, match.index).split('\n').length}`,
      language,
      text: code,
      note,
      reason,
      follows,
    };
  });
}

/** A program, and what it says that it writes: in a block of text right below, or in a comment behind each `console.log` or `print`. */
export interface Program {
  readonly place: string;
  readonly text: string;
  readonly said: string;
}

export function programsOf(page: string, language: string): Program[] {
  const programs: { place: string; text: string; below?: string | undefined }[] = [];
  const blocks = blocksOf(page);
  for (const [i, block] of blocks.entries()) {
    const [last, next] = [programs.at(-1), blocks[i + 1]];
    if (block.language !== language || !isRun(block)) continue;
    const below = next?.language === 'text' && next.follows ? next.text.trim() : undefined;
    if (block.note === 'continues' && last !== undefined) Object.assign(last, { text: last.text + block.text, below });
    else programs.push({ place: block.place, text: block.text, below });
  }
  return programs.map(({ place, text, below }) => ({ place, text, said: below ?? commentsIn(text) }));
}

const commentsIn = (text: string): string =>
  [...text.matchAll(/^ *(?:console\.log|print)\(.*(?:\/\/|#) (.*)$/gm)].map(([, said]) => said).join('\n');

/** The file of the repository that a block shows a part of, by its first line. */
export const excerptOf = ({ text }: Block): string | undefined => /^(?:\/\/|#) ([\w-]+\/[\w./-]+)\n/.exec(text)?.[1];
export const isRun = (block: Block): boolean => block.note !== 'not run' && excerptOf(block) === undefined;

/** A page without its blocks of code. */
export const proseOf = (page: string): string => read(page).replace(new RegExp(kFence, 'gm'), '');

/** What GitHub makes of headings to link to. */
export const anchorsOf = (page: string): string[] =>
  [...proseOf(page).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );

/** The targets of links and images to files of the repository. */
export const linksOf = (page: string): string[] =>
  [...proseOf(page).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(([, target = '']) => target);

/** `npm run NAME` with its options, wherever a page says so, and `npm test`. */
export const npmCommandsOf = (page: string): { readonly name: string; readonly options: readonly string[] }[] =>
  [
    ...read(page).matchAll(/npm (?:run\s+(?:--silent\s+)?([\w:-]*\w)|(test))\b((?:[^`\n]|\n(?!\n)(?=[^`]*`[^`]))*)/g),
  ].map(([, script, test, rest = '']) => ({
    name: script ?? test ?? '',
    options: (/^\s+--\s([^|&;()]*)/.exec(rest)?.[1] ?? '').match(/(?<=^|\s)--[a-z][\w-]*/g) ?? [],
  }));
