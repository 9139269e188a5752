/**
 * Reads a component as its developers keep it: `component.json`, `base/`, `capabilities/<id>/`, notes, terms, perhaps an SBOM.
 * Anything else in the folder is refused, so that a misspelt folder or a stray secret is not overlooked. Must never follow a
 * link, and never repair what it reads.
 */
import { readdirSync, type Dirent } from 'node:fs';
import { join } from 'node:path';
import {
  checkManifest,
  codeOf,
  escapeText,
  hookProgram,
  isSafeText,
  manifestFormat,
  parseJson,
  type Manifest,
} from '@countersign/protocol';
import { readIfPresent } from '@countersign/protocol/node';
import { artifactError } from './artifact-errors.ts';
import { maximumSbomBytes, readSbom } from './sbom.ts';

export interface ComponentFolder {
  readonly manifest: Manifest;
  /** Folders to pack; the base has no capability. */
  readonly archives: readonly { readonly capability: string | null; readonly folder: string }[];
  readonly notes: Readonly<Record<string, string>>;
  readonly terms: Readonly<Record<string, string>>;
  /** The SBOM that came with the component; null if there is none. */
  readonly sbom: Buffer | null;
}

const language = '[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*';
const notesName = new RegExp(`^notes\\.(${language})\\.md$`);
const termsName = new RegExp(`^([A-Za-z0-9][A-Za-z0-9.-]{0,31})\\.(${language})\\.md$`);
const maximumTextBytes = 64 * 1024;

/** @throws PACK_FOLDER PACK_TEXT PACK_SBOM RELEASE_MANIFEST, FORMAT_* */
export function readComponentFolder(folder: string): ComponentFolder {
  const entries = entriesOf(folder, '');
  const wrong = (what: string): Error => artifactError('PACK_FOLDER', `${folder} ${what}`);
  const kinds: Readonly<Record<string, 'file' | 'folder'>> = {
    'component.json': 'file',
    'sbom.cdx.json': 'file',
    base: 'folder',
    capabilities: 'folder',
    terms: 'folder',
  };
  for (const [name, kind] of entries) {
    const expected = notesName.test(name) ? 'file' : Object.hasOwn(kinds, name) ? kinds[name] : undefined;
    if (expected === undefined) throw wrong(`has ${escapeText(name, 200)}, which no release carries`);
    if (kind !== expected) throw wrong(`has ${name} as a ${kind}, expected a ${expected}`);
  }
  for (const name of ['component.json', 'base']) if (!entries.has(name)) throw wrong(`has no ${name}`);
  const manifestFile = join(folder, 'component.json');
  const manifest = manifestFormat.check(
    parseJson(read(manifestFile, manifestFormat.maximumBytes), manifestFile, manifestFormat.maximumBytes),
    manifestFile,
  );
  checkManifest(manifest);
  return {
    manifest,
    archives: archivesOf(folder, manifest, entries.has('capabilities'), wrong),
    notes: Object.fromEntries(
      [...entries.keys()].flatMap((name) => {
        const locale = notesName.exec(name)?.[1];
        return locale === undefined ? [] : [[locale, readText(join(folder, name))]];
      }),
    ),
    terms: readTerms(folder, manifest, entries.has('terms'), wrong),
    sbom: entries.has('sbom.cdx.json') ? readSbom(read(join(folder, 'sbom.cdx.json'), maximumSbomBytes)) : null,
  };
}

/** Each program that a hook names in its own base must be there. @throws PACK_FOLDER */
export function checkHookPrograms({ name, version, hooks }: Manifest, baseFiles: ReadonlySet<string>): void {
  for (const [hook, command] of Object.entries(hooks)) {
    const program = command && hookProgram(command[0][0]!);
    if (program && program.component === null && !baseFiles.has(program.path))
      throw artifactError('PACK_FOLDER', `${name} ${version}: hook ${hook} runs ${program.path}, which base lacks`);
  }
}

function archivesOf(
  folder: string,
  manifest: Manifest,
  withCapabilities: boolean,
  wrong: (what: string) => Error,
): ComponentFolder['archives'] {
  const archives: { capability: string | null; folder: string }[] = [
    { capability: null, folder: join(folder, 'base') },
  ];
  if (!withCapabilities) return archives;
  const declared = new Set(manifest.capabilities.map(({ id }) => id));
  for (const [id, kind] of entriesOf(folder, 'capabilities')) {
    if (!declared.has(id)) throw wrong(`has files of capability ${escapeText(id, 100)}, which component.json lacks`);
    if (kind !== 'folder') throw wrong(`has capabilities/${id} as a ${kind}, expected a folder`);
    archives.push({ capability: id, folder: join(folder, 'capabilities', id) });
  }
  return archives;
}

function readTerms(
  folder: string,
  { terms }: Manifest,
  present: boolean,
  wrong: (what: string) => Error,
): Record<string, string> {
  if (!terms) {
    if (present) throw wrong('has terms, and component.json names no version of them');
    return {};
  }
  const texts: Record<string, string> = {};
  for (const [name, kind] of present ? entriesOf(folder, 'terms') : []) {
    const [, version, locale] = termsName.exec(name) ?? [];
    if (kind !== 'file' || version === undefined)
      throw wrong(`has terms/${escapeText(name, 200)}, expected terms/<version>.<language>.md`);
    // Earlier versions may stay in the folder; they are not part of this release.
    if (version === terms.version) texts[locale!] = readText(join(folder, 'terms', name));
  }
  if (!Object.hasOwn(texts, 'en')) throw wrong(`has no terms/${terms.version}.en.md`);
  return texts;
}

/** Names in the folder, sorted, with what they are; links and special files are refused. @throws PACK_FOLDER */
function entriesOf(folder: string, below: string): Map<string, 'file' | 'folder'> {
  const place = join(folder, below);
  let found: Dirent[];
  try {
    found = readdirSync(place, { withFileTypes: true });
  } catch (cause) {
    throw artifactError('PACK_FOLDER', `reading the component folder ${place}: ${codeOf(cause) ?? 'failed'}`, {
      cause,
    });
  }
  for (const entry of found)
    if (!entry.isFile() && !entry.isDirectory())
      throw artifactError('PACK_FOLDER', `${join(place, escapeText(entry.name, 200))} is a link or a special file`);
  return new Map(
    found.sort((a, b) => (a.name < b.name ? -1 : 1)).map((entry) => [entry.name, entry.isFile() ? 'file' : 'folder']),
  );
}

function read(file: string, maximumBytes: number): Buffer {
  const bytes = readIfPresent(file, maximumBytes);
  // equivalent: absent only if it is removed between listing and reading
  if (!bytes) throw artifactError('PACK_FOLDER', `${file} is no longer there`);
  return bytes;
}

/** @throws PACK_TEXT */
function readText(file: string): string {
  const wrong = (what: string, cause?: unknown): Error => artifactError('PACK_TEXT', `${file} ${what}`, { cause });
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(read(file, maximumTextBytes));
  } catch (cause) {
    throw wrong(`is not UTF-8, or longer than ${maximumTextBytes} bytes`, cause);
  }
  if (!isSafeText(text)) throw wrong('has a control, invisible or bidirectional character, or carriage returns');
  return text;
}
