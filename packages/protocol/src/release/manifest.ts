/**
 * `component.json`: what a component is and which capabilities it declares. It is code-signed inside the release statement,
 * so it is known and trusted before any archive is downloaded. Rules across fields
 * stand below the schema.
 */
import semver from 'semver';
import Type, { type Static } from 'typebox';
import { codeOf } from '../error.ts';
import { format } from '../schema.ts';
import {
  closed,
  CapabilityId,
  ComponentName,
  Name,
  Platform,
  Risk,
  Scope,
  Texts,
  Version,
  MapOf,
  isSafeText,
} from '../text.ts';
import { checkArchivePath } from './archive-policy.ts';
import { releaseError } from './release-errors.ts';

export const Capability = Type.Object(
  {
    id: CapabilityId,
    /** Increases when the meaning changes; a changed capability is asked again. */
    contract: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    risk: Risk,
    /** True: without it the component cannot be installed. */
    required: Type.Boolean(),
    scope: Scope,
    title: Texts(200),
    description: Texts(2000),
  },
  closed,
);
export type Capability = Static<typeof Capability>;

/** argv and its deadline in seconds. argv[0] is a path inside the base, or `${component:NAME}/path`. */
export const Hook = Type.Tuple([
  Type.Array(Type.String({ minLength: 1, maxLength: 500 }), { minItems: 1, maxItems: 32 }),
  Type.Integer({ minimum: 1, maximum: 3600 }),
]);
export type Hook = Static<typeof Hook>;

export const Manifest = Type.Object(
  {
    name: ComponentName,
    version: Version,
    platform: Platform,
    title: Texts(200),
    /** semver ranges over other components. */
    requires: MapOf(ComponentName, Type.String({ minLength: 1, maxLength: 200 }), { maxProperties: 64 }),
    /** Instrument models this release is for; `*` is every model. */
    models: Type.Array(Name, { minItems: 1, maxItems: 100, uniqueItems: true }),
    capabilities: Type.Array(Capability, { maxItems: 64 }),
    hooks: Type.Object({ stop: Type.Optional(Hook), start: Type.Optional(Hook), health: Type.Optional(Hook) }, closed),
    rollback: Type.Union([Type.Literal('safe'), Type.Literal('data-migrating'), Type.Literal('impossible')]),
    terms: Type.Optional(
      Type.Object({ version: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9.-]{0,31}$' }) }, closed),
    ),
  },
  closed,
);
export type Manifest = Static<typeof Manifest>;

export const manifestFormat = format('component manifest', Manifest, 256 * 1024);

const componentPath = /^\$\{component:([a-z][a-z0-9-]{0,62})\}\/(.+)$/;

/** @throws RELEASE_MANIFEST naming the field */
export function checkManifest(manifest: Manifest): void {
  const wrong = (field: string, what: string): Error =>
    releaseError('RELEASE_MANIFEST', `${manifest.name} ${manifest.version}: ${field} ${what}`, { context: { field } });
  for (const [field, text] of textsOf(manifest))
    if (!isSafeText(text)) throw wrong(field, 'has a control, invisible or bidirectional character');
  if (semver.valid(manifest.version) !== manifest.version) throw wrong('version', 'is not a semantic version');
  for (const [name, range] of Object.entries(manifest.requires)) {
    if (name === manifest.name) throw wrong(`requires.${name}`, 'names the component itself');
    if (semver.validRange(range) === null) throw wrong(`requires.${name}`, 'is not a semver range');
  }
  if (manifest.models.includes('*') && manifest.models.length > 1) throw wrong('models', 'has * beside other models');
  const ids = manifest.capabilities.map(({ id }) => id);
  const twice = ids.find((id, index) => ids.indexOf(id) !== index);
  if (twice !== undefined) throw wrong('capabilities', `has ${twice} twice`);
  for (const [name, hook] of Object.entries(manifest.hooks))
    if (hook) checkHook(manifest, hook[0][0]!, (what) => wrong(`hooks.${name}`, what));
}

/** argv[0]: a path inside the base, or inside the base of a required component; never through a shell. */
function checkHook(manifest: Manifest, program: string, wrong: (what: string) => Error): void {
  const other = componentPath.exec(program);
  if (other && !Object.hasOwn(manifest.requires, other[1]!))
    throw wrong(`runs a program of ${other[1]!}, which is not required`);
  const path = other ? other[2]! : program;
  try {
    checkArchivePath(path);
  } catch (cause) {
    // equivalent: nothing else is thrown there; a defect must not look like a refusal
    if (codeOf(cause) === undefined) throw cause;
    throw wrong('does not name a path inside the base');
  }
  // cmd.exe parses their arguments again, however they are quoted.
  if (/\.(bat|cmd)$/i.test(path)) throw wrong('names a batch file');
}

/** Where the program of a hook lies: in the component's own base, or in that of a required one. */
export function hookProgram(program: string): { readonly component: string | null; readonly path: string } {
  const other = componentPath.exec(program);
  return other ? { component: other[1]!, path: other[2]! } : { component: null, path: program };
}

function* textsOf(manifest: Manifest): Generator<[field: string, text: string]> {
  for (const [language, text] of Object.entries(manifest.title)) yield [`title.${language}`, text];
  for (const [index, model] of manifest.models.entries()) yield [`models.${index}`, model];
  for (const { id, title, description, scope } of manifest.capabilities) {
    for (const [language, text] of Object.entries(title)) yield [`capabilities.${id}.title.${language}`, text];
    for (const [language, text] of Object.entries(description))
      yield [`capabilities.${id}.description.${language}`, text];
    for (const [key, value] of Object.entries(scope))
      for (const text of Array.isArray(value) ? value : [value])
        if (typeof text === 'string') yield [`capabilities.${id}.scope.${key}`, text];
  }
  for (const [name, hook] of Object.entries(manifest.hooks))
    for (const [index, word] of (hook?.[0] ?? []).entries()) yield [`hooks.${name}.${index}`, word];
}

/** The text in the language, else in its base language, else English, else the first one; empty where there is none. */
export function textFor(texts: Readonly<Record<string, string>>, language: string): string {
  const tags = [language, language.split('-')[0]!, 'en'];
  const found = tags.find((tag) => Object.hasOwn(texts, tag)) ?? Object.keys(texts)[0];
  return found === undefined ? '' : texts[found]!;
}
